"""The framework's doctypes reduced to the fields an app meets. Syntax: frappe.model.spec."""

DOCTYPES = """
DocType | Core | autoname=Prompt
	module Link(Module Def)
	issingle,istable,is_submittable,is_virtual,custom Check
Module Def | Core | autoname=field:module_name
	module_name,app_name Data
Role | Core | autoname=field:role_name
	role_name Data reqd unique
	disabled,is_custom Check
	desk_access Check default=1
Has Role | Core | istable=1
	role Link(Role)
User | Core | autoname=Prompt | title_field=full_name
	email Data(Email) reqd
	first_name Data reqd
	last_name,full_name,username,api_key,language,time_zone Data
	enabled,send_welcome_email Check default=1
	user_type Data default='System User'
	new_password,api_secret Password
	roles Table(Has Role)
User Permission | Core
	user Link(User) reqd
	allow Link(DocType) reqd
	for_value Dynamic Link(allow) reqd
	applicable_for Link(DocType)
	apply_to_all_doctypes Check default=1
	is_default,hide_descendants Check
Custom DocPerm | Core
	parent Data
	role Link(Role) reqd
	permlevel Int
	if_owner,select,read,write,create,delete,submit,cancel,amend,print,email,report,import,export,share Check
DocShare | Core
	user Link(User)
	share_doctype Link(DocType)
	share_name Dynamic Link(share_doctype)
	read,write,submit,share,everyone Check
Error Log | Core | autoname=hash
	seen Check
	method Data
	error Code
	reference_doctype Link(DocType)
	reference_name,trace_id Data
Patch Log | Core
	patch Code
	skipped Check
File | Core | autoname=hash
	file_name,attached_to_name,attached_to_field,content_hash Data
	is_private,is_folder,is_home_folder Check
	file_url Code
	file_size Int
	folder Data
	attached_to_doctype Link(DocType)
Comment | Core | autoname=hash
	comment_type Select(,Comment,Like,Info,Label,Workflow,Created,Submitted,Cancelled,Updated,Deleted,Assigned,Assignment Completed,Attachment,Attachment Removed,Shared,Unshared,Edit,Bot)
	comment_email,comment_by,reference_name,subject Data
	reference_doctype Link(DocType)
	content HTML Editor
Communication | Core | autoname=hash
	subject,reference_name,recipients,sender Data
	reference_doctype Link(DocType)
	content Text Editor
Version | Core | autoname=hash
	ref_doctype Link(DocType)
	docname Data
	data Code
System Settings | Core | issingle=1
	country Link(Country)
	time_zone Data default='Etc/UTC'
	language Data default=en
	date_format Data default='yyyy-mm-dd'
	float_precision,currency_precision Data
	number_format Data default='#,###.##'
	rounding_method Data
	enable_scheduler,allow_error_traceback,setup_complete Check default=1
	password_reset_limit Int default=3
Log Settings | Core | issingle=1
	logs_to_clear Table(Logs To Clear)
Logs To Clear | Core | istable=1
	ref_doctype Link(DocType)
	days Int default=30
Scheduled Job Type | Core | autoname=hash
	method Data
	frequency,cron_format Data
	stopped Check
	last_execution Datetime
Custom Field | Custom | autoname=Prompt | sort_field=idx
	dt Link(DocType) reqd
	label,fieldname,insert_after,module,fetch_from,width,precision Data
	fieldtype Data default=Data
	options,default,description,depends_on,mandatory_depends_on,read_only_depends_on,collapsible_depends_on Small Text
	length,permlevel,columns Int
	reqd,unique,no_copy,allow_on_submit,read_only,hidden,print_hide,print_hide_if_no_value,search_index,in_list_view,in_standard_filter,in_global_search,in_preview,bold,report_hide,ignore_user_permissions,translatable,fetch_if_empty,collapsible,is_virtual,is_system_generated,non_negative,allow_in_quick_entry,ignore_xss_filter,hide_border,show_dashboard,set_only_once,no_label,hide_days,hide_seconds,sort_options Check
Property Setter | Custom
	doctype_or_field,doc_type,field_name,row_name,property,property_type,module Data
	value,default_value Small Text
	is_system_generated Check
Notification Log | Desk | autoname=hash
	subject Text
	for_user,from_user Link(User)
	type Data
	email_content Text Editor
	document_type Link(DocType)
	document_name,link Data
	read Check
ToDo | Desk | autoname=hash
	status,priority Data
	description Text Editor
	allocated_to Link(User)
	reference_type Link(DocType)
	reference_name Dynamic Link(reference_type)
Email Account | Email | autoname=field:email_account_name | perm=System Manager:rwcd
	email_account_name Data reqd unique
	email_id Data
	enable_outgoing,default_outgoing Check
	smtp_server Data
	no_smtp_authentication Check
Email Queue | Email | autoname=hash
	status,sender Data
	message Code
	recipients Table(Email Queue Recipient)
Email Queue Recipient | Email | istable=1
	recipient,status Data
Integration Request | Integrations | autoname=hash | in_create=1 | track_changes=1 | perm=System Manager:rwd
	request_id,integration_request_service Data
	is_remote_request Check
	request_description Data
	status Select(,Queued,Authorized,Completed,Cancelled,Failed) default=Queued
	url Small Text
	request_headers,data,output,error Code
	reference_doctype Link(DocType)
	reference_docname Dynamic Link(reference_doctype)
Country | Geo | autoname=field:country_name | perm=System Manager:rwcd; All:r
	country_name Data reqd unique
	code,date_format,time_format Data
	time_zones Text
Currency | Geo | autoname=field:currency_name | perm=System Manager:rwcd; All:r; Accounts User:r
	currency_name Data reqd unique
	enabled Check
	fraction,symbol,number_format Data
	fraction_units Int
	smallest_currency_fraction_value Currency
Dynamic Link | Core | istable=1
	link_doctype Link(DocType) reqd
	link_name Dynamic Link(link_doctype) reqd
	link_title Read Only
Address | Contacts | perm=System Manager:rwcd; Accounts User:rwcd; Sales User:rwcd
	address_title Data
	address_type Select(Billing,Shipping,Office,Personal,Plant,Postal,Shop,Subsidiary,Warehouse,Current,Permanent,Other) reqd
	address_line1 Data reqd length=240
	address_line2 Data length=240
	city Data reqd
	county,state,pincode,phone,fax,tax_category Data
	country Link(Country) reqd
	email_id Data(Email)
	is_primary_address,is_shipping_address,disabled,is_your_company_address Check
	links Table(Dynamic Link)
Contact | Contacts | perm=System Manager:rwcd; Accounts User:rwcd; Sales User:rwcd
	first_name,last_name,full_name,phone,mobile_no,company_name Data
	email_id Data(Email)
	is_primary_contact Check
	links Table(Dynamic Link)
"""
