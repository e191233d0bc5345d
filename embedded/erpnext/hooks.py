"""The stand-in ERPNext as an app."""

app_name = "erpnext"
app_title = "ERPNext (embedded)"
after_install = "erpnext.setup.masters.create"
