app_name = "shop"
doc_events = {
	"*": {"validate": "shop.record", "on_submit": "shop.record", "on_cancel": ["shop.record"]},
	"Till Ticket": {"validate": ["shop.stop_b"]},
}
permission_query_conditions = {"Till Ticket": "shop.own_only"}
has_permission = {"Till Ticket": "shop.may"}
page_renderer = ["shop.Page"]
scheduler_events = {"hourly": ["shop.sweep"], "cron": {"*/5 * * * *": ["shop.sweep"]}}
