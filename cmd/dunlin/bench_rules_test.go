package main

// A benchSegment is a rule, and the from and where by which somebody who knows
// SQL, this schema and these customers would count the same ones.
// {now-30d} stands for an instant and {today+30d} for a date, as literals.
type benchSegment struct{ name, rule, hand string }

var benchSegments = []benchSegment{
	{"cards-expiring", `card_expires_at between today() - 3 days and today() + 30 days and subscription_status in ('active', 'past_due') and not deleted`,
		`dunlin.customers where account_id = 1 and card_expires_at between {today-3d} and {today+30d} and subscription_status in ('active', 'past_due') and not deleted`},
	{"owing", `(delinquent or subscription_status in ('past_due', 'unpaid')) and open_invoice_count > 0 and not deleted`,
		`dunlin.customers where account_id = 1 and (delinquent or subscription_status in ('past_due', 'unpaid')) and open_invoice_count > 0 and not deleted`},
	{"monthly-mid-band", `plan in ('Pro', 'Team') and plan_interval = 'month' and plan_price between 20 usd and 200 usd and subscription_status = 'active' and not delinquent and not deleted`,
		`dunlin.customers where account_id = 1 and plan in ('Pro', 'Team') and plan_interval = 'month' and plan_price_currency = 'usd' and plan_price between 20 and 200 and subscription_status = 'active' and not delinquent and not deleted`},
	{"flagged", `delinquent and not deleted`,
		`dunlin.customers where account_id = 1 and delinquent and not deleted`},
	{"high-value", `mrr >= 500 usd and not deleted`,
		`dunlin.customers where account_id = 1 and mrr_currency = 'usd' and mrr >= 500 and not deleted`},
	{"renews-within-the-hour", `next_charge_at within next 1 hour and subscription_status in ('active', 'trialing')`,
		`dunlin.customers where account_id = 1 and next_charge_at > {now} and next_charge_at <= {now+1h} and subscription_status in ('active', 'trialing')`},
	{"renews-in-days", `next_charge_at within next 3 days and mrr >= 100 usd`,
		`dunlin.customers where account_id = 1 and next_charge_at > {now} and next_charge_at <= {now+72h} and mrr_currency = 'usd' and mrr >= 100`},
	{"no-charge-lately", `last_charge_at < now() - 45 days and subscription_status = 'active' and next_charge_at < now() + 7 days`,
		`dunlin.customers where account_id = 1 and last_charge_at < {now-1080h} and subscription_status = 'active' and next_charge_at < {now+168h}`},
	{"charged-this-week", `last_charge_at within last 7 days and country in ('DE', 'FR', 'GB')`,
		`dunlin.customers where account_id = 1 and last_charge_at > {now-168h} and last_charge_at <= {now} and country in ('DE', 'FR', 'GB')`},
	{"invoice-open", `exists (invoices where status = 'open') and not deleted`,
		`dunlin.customers c where account_id = 1 and not deleted and exists (
			select from dunlin.invoices i where i.account_id = c.account_id and i.customer_id = c.customer_id and status = 'open')`},
	{"invoice-just-due", `exists (invoices where status = 'open' and due_at within last 1 day)`,
		`dunlin.customers c where account_id = 1 and exists (
			select from dunlin.invoices i where i.account_id = c.account_id and i.customer_id = c.customer_id and status = 'open' and due_at > {now-24h} and due_at <= {now})`},
	{"failing", `count(charges where status = 'failed' and created_at within last 30 days) >= 2`,
		`dunlin.customers join (
			select account_id, customer_id from dunlin.charges
			where account_id = 1 and status = 'failed' and created_at > {now-720h} and created_at <= {now}
			group by 1, 2 having count(*) >= 2) x using (account_id, customer_id)`},
	{"spent-lately", `sum(charges.amount where status = 'succeeded' and currency = 'usd' and created_at within last 14 days) >= 300 usd`,
		`dunlin.customers join (
			select account_id, customer_id from dunlin.charges
			where account_id = 1 and status = 'succeeded' and currency = 'usd' and created_at > {now-336h} and created_at <= {now}
			group by 1, 2 having sum(amount) >= 300) x using (account_id, customer_id)`},
	{"refunded", `sum(charges.amount_refunded where currency = 'eur') >= 100 eur and not deleted`,
		`dunlin.customers join (
			select account_id, customer_id from dunlin.charges where account_id = 1 and currency = 'eur'
			group by 1, 2 having sum(amount_refunded) >= 100) x using (account_id, customer_id) where not deleted`},
	{"trial-ending", `exists (subscriptions where status = 'trialing' and trial_ends_at within next 2 days)`,
		`dunlin.customers c where account_id = 1 and exists (
			select from dunlin.subscriptions s where s.account_id = c.account_id and s.customer_id = c.customer_id and status = 'trialing' and trial_ends_at > {now} and trial_ends_at <= {now+48h})`},
	{"period-ending", `exists (subscriptions where status = 'active' and plan_interval = 'year' and period_end_at within next 5 days)`,
		`dunlin.customers c where account_id = 1 and exists (
			select from dunlin.subscriptions s where s.account_id = c.account_id and s.customer_id = c.customer_id and status = 'active' and plan_interval = 'year' and period_end_at > {now} and period_end_at <= {now+120h})`},
	{"legacy", `plan = 'Legacy' and subscription_status = 'active'`,
		`dunlin.customers where account_id = 1 and plan = 'Legacy' and subscription_status = 'active'`},
	{"valuable-and-expiring", `in segment 'high-value' and card_expires_at within next 60 days`,
		`dunlin.customers where account_id = 1 and mrr_currency = 'usd' and mrr >= 500 and not deleted and card_expires_at between {today} and {today+60d}`},
	{"gold-abroad", `metadata['tier'] = 'gold' and lifetime_spend >= 1000 usd and not (country = 'US')`,
		`dunlin.customers where account_id = 1 and metadata ->> 'tier' = 'gold' and lifetime_spend_currency = 'usd' and lifetime_spend >= 1000 and country is distinct from 'US'`},
	{"last-charge-failed", `latest(charges.status) = 'failed' and subscription_status != 'canceled'`,
		`dunlin.customers join (
			select distinct on (account_id, customer_id) account_id, customer_id, status from dunlin.charges where account_id = 1
			order by account_id, customer_id, created_at desc, id desc) x using (account_id, customer_id)
			where x.status = 'failed' and subscription_status is distinct from 'canceled'`},
}

// selective are rules for whose few customers an index should be enough.
var selective = []string{
	`card_expires_at within next 30 days`,
	`next_charge_at within next 1 hour`,
	`plan = 'Legacy'`,
	`mrr >= 10000 usd`,
	`exists (invoices where status = 'open' and due_at within last 1 day)`,
	`exists (subscriptions where cancels_at within next 1 day)`,
}

// tenPredicates is as in the tests of segments/rule, over the real catalog.
const tenPredicates = `card_expires_at within next 30 days and subscription_status in ('active', 'past_due')
and plan_price between 20 usd and 200 usd and not deleted and (mrr >= 200 usd or open_invoice_count > 10)
and plan like 'Pro%' and metadata['tier'] = 'pro' and last_charge_at > now() - 30 days and email is set`
