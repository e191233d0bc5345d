"""ERPNext's doctypes reduced to what sales documents need. Syntax: frappe.model.spec."""

SALES = "perm=System Manager:rwcdsxa; Accounts Manager:rwcdsxa; Accounts User:rwcsxa; Sales User:r"
MASTER = (
	"perm=System Manager:rwcd; Accounts Manager:rwcd; Accounts User:rwc; Sales User:r; Sales Manager:rwcd"
)

INVOICE = """
	title Data default='{customer_name}' allow_on_submit no_copy
	naming_series Select({series}) reqd no_copy
	customer Link(Customer) search_index
	customer_name Small Text fetch_from=customer.customer_name
	tax_id Data fetch_from=customer.tax_id
	company Link(Company) reqd
	company_tax_id Data fetch_from=company.tax_id
	posting_date Date reqd default=Today no_copy
	posting_time Time default=Now no_copy
	set_posting_time,is_return,is_debit_note,update_stock,is_cash_or_non_trade_discount,is_consolidated,disable_rounded_total,ignore_pricing_rule,write_off_outstanding_amount_automatically,redeem_loyalty_points Check
	is_pos Check default={is_pos}
	update_outstanding_for_self Check default=1 no_copy
	pos_profile Link(POS Profile)
	return_against Link({doctype}) no_copy
	amended_from Link({doctype}) no_copy
	due_date Date no_copy
	po_no Data allow_on_submit no_copy
	po_date Date allow_on_submit
	currency Link(Currency) reqd
	conversion_rate Float reqd precision=9
	selling_price_list Link(Price List) reqd
	price_list_currency Link(Currency) reqd
	plc_conversion_rate Float reqd precision=9
	cost_center Link(Cost Center) allow_on_submit
	set_warehouse Link(Warehouse)
	customer_address,shipping_address_name,company_address Link(Address)
	address_display,shipping_address,company_address_display Small Text
	contact_person Link(Contact)
	contact_display,contact_mobile Small Text
	contact_email Data
	territory Link(Territory)
	customer_group Link(Customer Group)
	items Table({doctype} Item) reqd
	total_qty Float
	total,base_total,net_total Currency
	base_net_total Currency reqd
	taxes_and_charges,tax_category Data
	taxes Table(Sales Taxes and Charges)
	base_total_taxes_and_charges,total_taxes_and_charges Currency
	apply_discount_on Select(,Grand Total,Net Total) default='Grand Total'
	additional_discount_percentage Float
	discount_amount,base_discount_amount Currency
	base_grand_total,grand_total Currency reqd
	base_rounding_adjustment,rounding_adjustment,base_rounded_total,rounded_total Currency
	in_words,base_in_words Data length=240
	total_advance,loyalty_amount Currency
	outstanding_amount Currency no_copy
	payment_schedule Table(Payment Schedule) no_copy
	payments Table(Sales Invoice Payment)
	paid_amount,base_paid_amount,change_amount,base_change_amount,write_off_amount,base_write_off_amount Currency no_copy
	account_for_change_amount,write_off_account Link(Account)
	debit_to Link(Account) reqd
	party_account_currency Link(Currency) no_copy
	is_opening Select(No,Yes) default=No
	status Select(,Draft,Return,Credit Note Issued,Consolidated,Submitted,Paid,Partly Paid,Unpaid,Overdue,Cancelled) default=Draft no_copy
	remarks,terms Small Text no_copy
	against_income_account Small Text
	other_charges_calculation Long Text no_copy
"""

ITEM = """
	item_code Link(Item)
	item_name Data reqd
	description Text Editor
	item_group Link(Item Group)
	barcode,customer_item_code Data
	qty Float
	stock_qty Float
	uom,stock_uom Link(UOM)
	conversion_factor Float reqd
	price_list_rate,base_price_list_rate Currency
	margin_type Select(,Percentage,Amount)
	margin_rate_or_amount Float
	rate_with_margin,base_rate_with_margin Currency
	discount_percentage Percent
	discount_amount,distributed_discount_amount Currency
	rate,amount,base_rate,base_amount Currency reqd
	net_rate,net_amount,base_net_rate,base_net_amount Currency
	item_tax_template Link(Item Tax Template)
	item_tax_rate Small Text
	item_tax_amount Currency
	pricing_rules Small Text
	is_free_item Check
	income_account Link(Account) reqd allow_on_submit
	expense_account Link(Account)
	cost_center Link(Cost Center) reqd allow_on_submit
	warehouse Link(Warehouse)
	serial_no,batch_no Small Text
	sales_order,delivery_note Data
	{own}
"""

DOCTYPES = f"""
Company | Setup | autoname=field:company_name | {MASTER}
	company_name Data reqd unique
	abbr Data reqd
	default_currency Link(Currency) reqd
	country Link(Country) reqd
	tax_id,domain,phone_no,website,chart_of_accounts Data
	email Data(Email)
	is_group Check
	default_receivable_account,default_income_account,default_expense_account,default_cash_account,default_bank_account,round_off_account,write_off_account Link(Account)
	cost_center,round_off_cost_center Link(Cost Center)
	default_selling_terms Data
Cost Center | Accounts | {MASTER}
	cost_center_name Data reqd
	company Link(Company) reqd
	is_group,disabled Check
	parent_cost_center Link(Cost Center)
Account | Accounts | {MASTER}
	account_name Data reqd no_copy
	account_number,root_type,report_type Data
	account_type Select(,Bank,Cash,Chargeable,Cost of Goods Sold,Equity,Expense Account,Income Account,Indirect Income,Payable,Receivable,Round Off,Tax,Temporary)
	tax_rate Float
	company Link(Company) reqd
	account_currency Link(Currency)
	parent_account Link(Account)
	is_group,disabled Check
Warehouse | Stock | {MASTER}
	warehouse_name Data reqd
	company Link(Company) reqd
	is_group Check
Mode of Payment | Accounts | autoname=field:mode_of_payment | {MASTER}
	mode_of_payment Data reqd unique
	enabled Check default=1
	type Select(Cash,Bank,General,Phone)
	accounts Table(Mode of Payment Account)
Mode of Payment Account | Accounts | istable=1
	company Link(Company)
	default_account Link(Account)
Item Tax Template | Accounts | {MASTER}
	title Data reqd
	company Link(Company) reqd
	disabled Check
	taxes Table(Item Tax Template Detail)
Item Tax Template Detail | Accounts | istable=1
	tax_type Link(Account) reqd
	tax_rate Float
	not_applicable Check
POS Profile | Accounts | autoname=Prompt | {MASTER}
	company Link(Company) reqd
	customer Link(Customer)
	country Data
	disabled,hide_images Check
	warehouse Link(Warehouse) reqd
	payments Table(POS Payment Method) reqd
	selling_price_list Link(Price List)
	currency Link(Currency) reqd
	write_off_account Link(Account) reqd
	write_off_cost_center Link(Cost Center) reqd
	write_off_limit Currency reqd default=1
	cost_center Link(Cost Center)
	company_address Link(Address)
	taxes_and_charges,tax_category Data
	disable_rounded_total Check
	apply_discount_on Select(Grand Total,Net Total) default='Grand Total'
	income_account,expense_account,account_for_change_amount Link(Account)
POS Payment Method | Accounts | istable=1
	default,allow_in_returns Check
	mode_of_payment Link(Mode of Payment) reqd
POS Settings | Accounts | issingle=1
	invoice_type Select(Sales Invoice,POS Invoice) default='POS Invoice'
Currency Exchange | Setup | {MASTER}
	date Date reqd
	from_currency,to_currency Link(Currency) reqd
	exchange_rate Float reqd precision=9
	for_selling,for_buying Check default=1
Price List | Stock | autoname=field:price_list_name | {MASTER}
	price_list_name Data reqd unique
	currency Link(Currency) reqd
	enabled,selling,buying,price_not_uom_dependent Check
Customer Group | Setup | autoname=field:customer_group_name | {MASTER}
	customer_group_name Data reqd unique
	parent_customer_group Link(Customer Group)
	is_group Check
Territory | Setup | autoname=field:territory_name | {MASTER}
	territory_name Data reqd unique
	parent_territory Link(Territory)
	is_group Check
Customer | Selling | {MASTER} | title_field=customer_name
	naming_series Select(CUST-.YYYY.-)
	customer_name Data reqd
	customer_type Select(Company,Individual,Partnership) reqd
	customer_group Link(Customer Group)
	territory Link(Territory)
	tax_id,tax_category,tax_withholding_category Data
	default_currency Link(Currency)
	language Data
	disabled,is_internal_customer Check
	customer_primary_address Link(Address)
	primary_address Text
	customer_primary_contact Link(Contact)
	mobile_no Read Only
	email_id Read Only
	website,customer_details,market_segment,industry Data
Item Group | Setup | autoname=field:item_group_name | {MASTER}
	item_group_name Data reqd unique
	parent_item_group Link(Item Group)
	is_group Check
	taxes Table(Item Tax)
Item Tax | Stock | istable=1
	item_tax_template Link(Item Tax Template) reqd
	tax_category Data
	valid_from Date
UOM | Setup | autoname=field:uom_name | {MASTER}
	uom_name Data reqd unique
	enabled Check default=1
	must_be_whole_number Check
Item | Stock | autoname=field:item_code | {MASTER} | title_field=item_name
	naming_series Select(STO-ITEM-.YYYY.-)
	item_code Data reqd unique
	item_name Data
	item_group Link(Item Group) reqd
	stock_uom Link(UOM) reqd
	description Text Editor
	disabled,has_variants Check
	is_stock_item,is_sales_item Check default=1
	is_purchase_item Check default=1
	standard_rate,valuation_rate Currency
	brand,country_of_origin,customs_tariff_number,variant_of Data
	taxes Table(Item Tax)
Sales Taxes and Charges | Accounts | istable=1
	charge_type Select(,Actual,On Net Total,On Previous Row Amount,On Previous Row Total,On Item Quantity) reqd
	row_id Data
	account_head Link(Account) reqd allow_on_submit
	description Small Text reqd
	included_in_print_rate,included_in_paid_amount,dont_recompute_tax Check
	cost_center Link(Cost Center)
	rate Float
	account_currency Link(Currency) fetch_from=account_head.account_currency
	tax_amount,total,tax_amount_after_discount_amount,base_tax_amount,base_total,base_tax_amount_after_discount_amount Currency
	item_wise_tax_detail Code
Sales Invoice Payment | Accounts | istable=1
	default Check
	mode_of_payment Link(Mode of Payment) reqd
	amount Currency reqd
	account Link(Account)
	type Read Only fetch_from=mode_of_payment.type
	base_amount Currency
	clearance_date Date
	reference_no Data
Payment Schedule | Accounts | istable=1
	payment_term,description Data
	due_date Date reqd
	invoice_portion Percent
	payment_amount,outstanding,paid_amount,base_payment_amount Currency
	mode_of_payment Link(Mode of Payment)
Sales Invoice Item | Accounts | istable=1 | autoname=hash
{ITEM.format(own="sales_invoice_item,pos_invoice_item,so_detail,dn_detail Data").strip(chr(10))}
	pos_invoice Link(POS Invoice)
POS Invoice Item | Accounts | istable=1 | autoname=hash
{ITEM.format(own="pos_invoice_item,so_detail,dn_detail Data").strip(chr(10))}
Sales Invoice | Accounts | autoname=naming_series: | is_submittable=1 | title_field=title | {SALES}
{INVOICE.format(series="ACC-SINV-.YYYY.-,ACC-SINV-RET-.YYYY.-", doctype="Sales Invoice", is_pos=0, customer_name="{customer_name}").strip(chr(10))}
	is_created_using_pos Check
	pos_closing_entry Data no_copy
POS Invoice | Accounts | autoname=naming_series: | is_submittable=1 | title_field=title | {SALES}
{INVOICE.format(series="ACC-PSINV-.YYYY.-", doctype="POS Invoice", is_pos=1, customer_name="{customer_name}").strip(chr(10))}
	consolidated_invoice Link(Sales Invoice) allow_on_submit no_copy
Payment Entry Reference | Accounts | istable=1 | autoname=hash
	reference_doctype Link(DocType) reqd
	reference_name Dynamic Link(reference_doctype) reqd
	due_date Date
	total_amount,outstanding_amount,allocated_amount Currency
	exchange_rate Float
Payment Entry | Accounts | autoname=naming_series: | is_submittable=1 | title_field=title | {SALES}
	title Data default='{{party_name}}'
	naming_series Select(ACC-PAY-.YYYY.-) reqd
	payment_type Select(Receive,Pay,Internal Transfer) reqd
	posting_date Date reqd default=Today
	company Link(Company) reqd
	mode_of_payment Link(Mode of Payment)
	party_type Link(DocType)
	party Dynamic Link(party_type)
	party_name Data
	paid_from,paid_to Link(Account) reqd
	paid_from_account_currency,paid_to_account_currency Link(Currency)
	paid_amount,received_amount Currency reqd
	source_exchange_rate,target_exchange_rate Float
	references Table(Payment Entry Reference)
	total_allocated_amount,unallocated_amount Currency
	reference_no Data
	reference_date Date
	amended_from Link(Payment Entry) no_copy
	remarks Small Text
"""
