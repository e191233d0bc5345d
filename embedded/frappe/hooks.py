"""The stand-in framework as an app of its own."""

app_name = "frappe"
app_title = "Frappe (embedded)"
ignore_links_on_delete = [
	"Communication",
	"ToDo",
	"DocShare",
	"Comment",
	"Version",
	"File",
	"Error Log",
	"Notification Log",
	"Integration Request",
	"Email Queue",
]
