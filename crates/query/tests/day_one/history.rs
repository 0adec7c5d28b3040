//! Twelve customers of a small reporting product, from January to May 2025: who came on which
//! days, and what else happened. The questions are asked as of Sunday 25 May 2025.
//!
//! Every visit begins with `session_started`, and its actions follow ten minutes apart, so a visit
//! of three actions is a session of thirty minutes with four events.

use vitalog_event::parse_timestamp_us;

use super::support::Row;

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// Monday to Friday.
const WORKDAYS: &str = "Mon Tue Wed Thu Fri";
/// The day after the last visit of those who still come.
const END: &str = "2025-05-26";

/// Rows in the order in which they were written down: account by account, so that in a store made
/// of them most rows are late.
pub struct History(Vec<Row>);

/// A user of one account.
struct Member<'h> {
    history: &'h mut History,
    account: &'static str,
    user: &'static str,
}

/// All of it.
pub fn history() -> Vec<Row> {
    let mut history = History(Vec::new());
    history.healthy();
    history.with_something_wrong();
    history.small_and_quiet();
    history.0
}

impl History {
    fn healthy(&mut self) {
        self.account("acme", r#""name":"Acme","plan":"enterprise","mrr":4000,"seats":4,"created_at":"2025-01-06","renewal_at":"2025-12-31""#);
        let mut ann = self.member("acme", "ann", "admin", "2025-01-06");
        ann.at("2025-01-06", 11, "invite_sent");
        ann.at("2025-01-07", 11, "invite_sent");
        ann.comes(
            ("2025-01-06", END),
            WORKDAYS,
            9,
            "report_created report_shared",
        );
        let mut ben = self.member("acme", "ben", "member", "2025-01-08");
        ben.comes(
            ("2025-01-08", END),
            "Mon Wed Fri",
            9,
            "report_created export_done",
        );
        let mut cat = self.member("acme", "cat", "member", "2025-01-09");
        cat.comes(("2025-01-09", END), "Tue Thu", 13, "report_created");
        let mut dan = self.member("acme", "dan", "member", "2025-02-03");
        dan.comes(("2025-02-03", END), "Mon", 10, "report_created alert_set");
        self.pays("acme", 4000.0, "01 02 03 04 05");

        self.account("hooli", r#""name":"Hooli","plan":"pro","mrr":900,"seats":3,"created_at":"2025-01-15","renewal_at":"2025-06-15""#);
        let mut hub = self.member("hooli", "hub", "admin", "2025-01-15");
        hub.at("2025-01-17", 12, "invite_sent");
        // Twice a day: the second session_started of a day falls under the cap.
        hub.comes(("2025-01-15", END), WORKDAYS, 9, "report_created");
        hub.comes(
            ("2025-01-15", END),
            WORKDAYS,
            15,
            "report_shared export_done",
        );
        let mut hal = self.member("hooli", "hal", "member", "2025-01-20");
        hal.comes(
            ("2025-01-20", END),
            "Tue Thu",
            9,
            "report_created report_created",
        );
        self.tickets(
            "hooli",
            "hal",
            "2025-04-08 2025-04-22 2025-05-06 2025-05-20",
        );
        self.pays("hooli", 900.0, "02 03 04 05");

        // Three weeks old.
        self.account(
            "wayne",
            r#""name":"Wayne","plan":"pro","mrr":600,"seats":2,"created_at":"2025-05-05""#,
        );
        let mut wes = self.member("wayne", "wes", "admin", "2025-05-05");
        wes.at("2025-05-08", 11, "invite_sent");
        wes.comes(
            ("2025-05-05", END),
            WORKDAYS,
            9,
            "report_created report_shared export_done",
        );
        let mut win = self.member("wayne", "win", "member", "2025-05-12");
        win.comes(("2025-05-12", END), "Mon Wed Fri", 9, "report_created");
    }

    fn with_something_wrong(&mut self) {
        // Four tickets in the period before, six in this one.
        self.account("globex", r#""name":"Globex","plan":"enterprise","mrr":2500,"seats":3,"created_at":"2025-01-08","renewal_at":"2025-06-20""#);
        let mut gus = self.member("globex", "gus", "admin", "2025-01-08");
        gus.at("2025-01-09", 11, "invite_sent");
        gus.comes(
            ("2025-01-08", END),
            WORKDAYS,
            9,
            "report_created report_shared",
        );
        let mut gia = self.member("globex", "gia", "member", "2025-01-13");
        gia.comes(
            ("2025-01-13", END),
            "Tue Thu",
            9,
            "report_created export_done",
        );
        self.tickets(
            "globex",
            "gus",
            "2025-04-01 2025-04-08 2025-04-15 2025-04-22",
        );
        self.tickets(
            "globex",
            "gus",
            "2025-04-29 2025-05-06 2025-05-07 2025-05-13 2025-05-20 2025-05-21",
        );
        self.pays("globex", 2500.0, "02 03 04 05");

        // One ticket, then three.
        self.account(
            "oscorp",
            r#""name":"Oscorp","plan":"pro","mrr":500,"seats":2,"created_at":"2025-02-03""#,
        );
        let mut ola = self.member("oscorp", "ola", "admin", "2025-02-03");
        ola.at("2025-02-10", 8, "invite_sent");
        ola.comes(
            ("2025-02-03", END),
            WORKDAYS,
            9,
            "report_created report_shared",
        );
        self.tickets(
            "oscorp",
            "ola",
            "2025-04-09 2025-05-07 2025-05-14 2025-05-21",
        );
        self.pays("oscorp", 500.0, "03 04 05");

        // Owes the invoice of May.
        self.account(
            "initech",
            r#""name":"Initech","plan":"pro","mrr":1200,"seats":2,"created_at":"2025-01-20""#,
        );
        let mut ivy = self.member("initech", "ivy", "admin", "2025-01-20");
        ivy.at("2025-01-21", 11, "invite_sent");
        ivy.comes(
            ("2025-01-20", END),
            WORKDAYS,
            9,
            "report_created report_shared",
        );
        let mut ian = self.member("initech", "ian", "member", "2025-01-22");
        ian.comes(("2025-01-22", END), WORKDAYS, 10, "report_created");
        self.pays("initech", 1200.0, "02 03 04");
        self.event(
            "initech",
            "",
            "2025-05-01",
            6 * HOUR_US,
            "invoice_sent",
            Some(1200.0),
        );

        // Came daily until 20 April, and since then on Mondays only.
        self.account("stark", r#""name":"Stark","plan":"enterprise","mrr":3000,"seats":3,"created_at":"2025-01-13","renewal_at":"2025-09-01""#);
        let mut sam = self.member("stark", "sam", "admin", "2025-01-13");
        sam.at("2025-01-20", 7, "invite_sent");
        sam.comes(
            ("2025-01-13", "2025-04-21"),
            WORKDAYS,
            9,
            "report_created report_shared",
        );
        sam.comes(("2025-04-21", END), "Mon", 9, "report_created");
        let mut sue = self.member("stark", "sue", "member", "2025-01-27");
        sue.comes(
            ("2025-01-27", "2025-04-21"),
            WORKDAYS,
            10,
            "report_created export_done",
        );
        self.pays("stark", 3000.0, "02 03 04 05");

        // Silent since 13 May, twelve days.
        self.account(
            "umbrella",
            r#""name":"Umbrella","plan":"pro","mrr":800,"seats":2,"created_at":"2025-02-10""#,
        );
        let mut uma = self.member("umbrella", "uma", "admin", "2025-02-10");
        uma.comes(
            ("2025-02-10", "2025-05-14"),
            WORKDAYS,
            9,
            "report_created report_shared",
        );
        self.pays("umbrella", 800.0, "03 04 05");
    }

    fn small_and_quiet(&mut self) {
        // Comes on Mondays; invited ten days after the signup.
        self.account(
            "wonka",
            r#""name":"Wonka","plan":"free","mrr":0,"created_at":"2025-02-03""#,
        );
        let mut wil = self.member("wonka", "wil", "admin", "2025-02-03");
        wil.at("2025-02-13", 11, "invite_sent");
        wil.comes(("2025-02-03", END), "Mon", 9, "report_created");

        // Silent since 21 March.
        self.account(
            "soylent",
            r#""name":"Soylent","plan":"free","mrr":0,"created_at":"2025-02-10""#,
        );
        let mut sol = self.member("soylent", "sol", "admin", "2025-02-10");
        sol.comes(("2025-02-10", "2025-03-22"), "Wed Fri", 9, "report_created");

        // From the CRM, never signed up.
        self.account(
            "tyrell",
            r#""name":"Tyrell","plan":"free","mrr":0,"created_at":"2025-03-03""#,
        );

        // Churned on 30 April, which became known with the trait.
        self.account(
            "cyberdyne",
            r#""name":"Cyberdyne","plan":"pro","mrr":700,"seats":2,"created_at":"2025-01-27""#,
        );
        let mut cy = self.member("cyberdyne", "cy", "admin", "2025-01-27");
        cy.at("2025-01-28", 11, "invite_sent");
        cy.comes(
            ("2025-01-27", "2025-04-12"),
            "Mon Wed Fri",
            9,
            "report_created",
        );
        self.tickets("cyberdyne", "cy", "2025-04-02 2025-04-04");
        self.pays("cyberdyne", 700.0, "02 03 04");
        self.traits(
            "cyberdyne",
            "2025-04-30",
            r#""churned_at":"2025-04-30","churn_type":"voluntary""#,
        );
    }

    /// An account whose traits are known from its first day.
    fn account(&mut self, account: &'static str, traits: &str) {
        let created = traits.split(r#""created_at":""#).nth(1).unwrap();
        self.traits(account, &created[..10], traits);
    }

    fn traits(&mut self, account: &'static str, date: &str, traits: &str) {
        self.event(account, "", date, 0, "$group", None);
        self.0.last_mut().unwrap().properties = Some(format!("{{{traits}}}"));
    }

    /// A user who signs up at eight.
    fn member(
        &mut self,
        account: &'static str,
        user: &'static str,
        role: &str,
        joined: &str,
    ) -> Member<'_> {
        self.event("", user, joined, 8 * HOUR_US, "$identify", None);
        let email = format!("{user}@{account}.test");
        let traits = format!(r#"{{"email":"{email}","name":"{user}","role":"{role}"}}"#);
        self.0.last_mut().unwrap().properties = Some(traits);
        self.event(account, user, joined, 8 * HOUR_US, "signup", None);
        Member {
            history: self,
            account,
            user,
        }
    }

    /// An invoice on the first of each month of 2025, paid the next day.
    fn pays(&mut self, account: &'static str, mrr: f64, months: &str) {
        for month in months.split(' ') {
            let sent = format!("2025-{month}-01");
            let paid = format!("2025-{month}-02");
            self.event(account, "", &sent, 6 * HOUR_US, "invoice_sent", Some(mrr));
            self.event(account, "", &paid, 6 * HOUR_US, "invoice_paid", Some(mrr));
        }
    }

    /// Tickets of a user at eleven, closed by the support an hour later.
    fn tickets(&mut self, account: &'static str, user: &'static str, dates: &str) {
        for date in dates.split(' ') {
            self.event(account, user, date, 11 * HOUR_US, "ticket_opened", None);
            self.event(account, "", date, 12 * HOUR_US, "ticket_closed", None);
        }
    }

    fn event(
        &mut self,
        account: &str,
        user: &str,
        date: &str,
        after_us: i64,
        event: &str,
        value: Option<f64>,
    ) {
        let known = |id: &str| (!id.is_empty()).then(|| id.to_owned());
        self.0.push(Row {
            event_id: format!("event-{:06}", self.0.len()),
            time_us: parse_timestamp_us(date).unwrap() + after_us,
            event: event.to_owned(),
            account_id: known(account),
            user_id: known(user),
            value,
            properties: None,
        });
    }
}

impl Member<'_> {
    /// One event at an hour of a day.
    fn at(&mut self, date: &str, hour: i64, event: &str) {
        let (account, user) = (self.account, self.user);
        self.history
            .event(account, user, date, hour * HOUR_US, event, None);
    }

    /// A visit at `hour` on each of the weekdays from the first date to before the second.
    fn comes(&mut self, (since, until): (&str, &str), weekdays: &str, hour: i64, actions: &str) {
        const NAMES: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        let day = |date| parse_timestamp_us(date).unwrap() / DAY_US;
        let (account, user) = (self.account, self.user);
        for number in day(since)..day(until) {
            // 1 January 1970 was a Thursday.
            if !weekdays.contains(NAMES[(number % 7) as usize]) {
                continue;
            }
            let actions = std::iter::once("session_started").chain(actions.split(' '));
            for (at, action) in (0..).zip(actions) {
                let after_us = number * DAY_US + hour * HOUR_US + at * 10 * MINUTE_US;
                self.history
                    .event(account, user, "1970-01-01", after_us, action, None);
            }
        }
    }
}
