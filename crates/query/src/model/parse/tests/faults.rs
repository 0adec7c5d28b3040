//! Every fault, with its line.

use super::*;

/// Parses a model named `m` with `rest` from line 2 on and compares its faults.
fn check(rest: &str, expected: &[(usize, &str)]) {
    let text = format!("name = \"m\"\n{rest}");
    let faults = parse(&text).expect_err(rest).0;
    let found: Vec<(usize, &str)> = faults
        .iter()
        .map(|fault| (fault.line, fault.message.as_str()))
        .collect();
    assert_eq!(found, expected, "{text}");
}

/// A signal in line 4 ff. of a model, and its faults.
fn check_signal(rest: &str, expected: &[(usize, &str)]) {
    let text = format!("[[dimension]]\nname = \"d\"\n[[dimension.signal]]\n{rest}");
    check(&text, expected);
}

#[test]
fn faults_are_shown_with_their_lines() {
    let faults = parse("name = \"m\"\n[[weight]]\nevent = \"x\"\nweight = 2000000\n")
        .expect_err("too large");
    assert_eq!(
        faults.to_string(),
        "line 4: weight of \"x\" is 2000000; |weight| must be below 100000"
    );
    let faults = parse("period_days = 0\nentity = \"acount\"").expect_err("three faults");
    assert_eq!(
        faults.to_string(),
        "line 1: period_days is 0; expected: a whole number from 1 to 366\n\
         line 1: the model has no name; write name = \"…\" at its top\n\
         line 2: entity is \"acount\"; expected: \"account\" or \"user\" or \"member\"; did you \
         mean account?"
    );
}

#[test]
fn broken_toml() {
    let faults = parse("name = \"m\"\nperiod_days = \n\nweight = [1\n").expect_err("broken");
    assert!(faults.0.len() >= 2, "{faults}");
    assert_eq!(faults.0[0].line, 2, "{faults}");
    check("period_days = 3\nperiod_days = 4", &[(3, "duplicate key")]);
    let long = format!("name = \"m\"\n#{}", "x".repeat(TEXT_BYTES_MAX));
    let faults = parse(&long).expect_err("too long");
    assert_eq!(faults.0[0].line, 1);
    assert!(faults.0[0].message.contains("at most 1048576"), "{faults}");
    let deep = format!("name = \"m\"\nfeatures = {}", "[".repeat(10_000));
    assert!(parse(&deep).is_err());
}

#[test]
fn names_of_models() {
    for name in ["a", "0-x_y", &"n".repeat(64)] {
        assert_eq!(parse(&format!("name = \"{name}\"")).expect(name).name, name);
    }
    for name in ["", "A", "-a", "_a", "a b", "ä", &"n".repeat(65)] {
        let faults = parse(&format!("\nname = \"{name}\"")).expect_err(name);
        assert_eq!(faults.0[0].line, 2, "{name}");
        assert!(faults.0[0].message.contains("1 to 64 of a-z"), "{faults}");
    }
    let faults = parse("name = 3").expect_err("a number");
    assert_eq!(faults.0[0].message, "name is 3; expected: a string");
}

#[test]
fn unknown_keys() {
    check(
        "perod_days = 3\nzzz = 1",
        &[
            (
                2,
                "a model has no key perod_days; did you mean period_days?",
            ),
            (3, "a model has no key zzz"),
        ],
    );
    check(
        "[[weight]]\nevent = \"x\"\nweigth = 1\nweight = 1\nfeatures = [\"a\"]",
        &[
            (4, "a weight has no key weigth; did you mean weight?"),
            (
                6,
                "a weight has no key features; keys of the model stand above the first [table]",
            ),
        ],
    );
    check(
        "[expansion]\nscor = 3\n[thresholds]\nscor = { red = \"< 1\", green = \"> 2\" }\n\
         score = { red = \"< 1\", gren = \"> 2\" }",
        &[
            (3, "[expansion] has no key scor; did you mean score?"),
            (5, "there is no metric scor; did you mean score?"),
            (
                6,
                "a pair of thresholds has no key gren; did you mean green?",
            ),
            (
                6,
                "the thresholds of score: only red is given; both are needed",
            ),
        ],
    );
}

#[test]
fn values_out_of_range_and_of_other_types() {
    check(
        "priority = 1.5\nperiod_days = 367\npercentile = 1\ncurve = -1\nmethod = \"pegs\"\n\
         peg_floor = 0\nmin_population = 0\nmember_base = 1\nsession_gap_minutes = 10081\n\
         healthy_days_max = \"9\"\nfilter = \" \"\nevent_filter = 1",
        &[
            (2, "priority is 1.5; expected: a whole number of 64 bits"),
            (
                3,
                "period_days is 367; expected: a whole number from 1 to 366",
            ),
            (4, "percentile is 1; expected: a number above 0 and below 1"),
            (5, "curve is -1; expected: a number, 0 or more"),
            (
                6,
                "method is \"pegs\"; expected: \"peg\" or \"winsor\" or \"rank\"; did you mean peg?",
            ),
            (7, "peg_floor is 0; expected: a number above 0"),
            (
                8,
                "min_population is 0; expected: a whole number from 1 to 1000000000",
            ),
            (
                9,
                "member_base is 1; expected: \"known\" or \"seen_90_days\" or \"seats\"",
            ),
            (
                10,
                "session_gap_minutes is 10081; expected: a whole number from 1 to 10080",
            ),
            (
                11,
                "healthy_days_max is \"9\"; expected: a whole number from 1 to 366",
            ),
            (12, "filter is \" \"; expected: SQL"),
            (13, "event_filter is 1; expected: a string"),
        ],
    );
    check(
        "percentile = nan\ncurve = inf\npeg_floor = nan",
        &[
            (
                2,
                "percentile is nan; expected: a number above 0 and below 1",
            ),
            (3, "curve is inf; expected: a number, 0 or more"),
            (4, "peg_floor is nan; expected: a number above 0"),
        ],
    );
    check(
        "weight = 3\ndimension = []\nstage = [1]\nsegment = \"x\"\nchurn_risk = 1\nexpansion = []\n\
         thresholds = { score = 3 }",
        &[
            (2, "weight is 3; expected: tables, written [[weight]]"),
            (4, "stage is a list; expected: tables, written [[stage]]"),
            (5, "segment is \"x\"; expected: tables, written [[segment]]"),
            (
                6,
                "churn_risk is 1; expected: a table, written [churn_risk]",
            ),
            (
                7,
                "expansion is a list; expected: a table, written [expansion]",
            ),
            (
                8,
                "score is 3; expected: a table, written { red = \"…\", green = \"…\" }",
            ),
        ],
    );
    check(
        "time_zone = \"Europe/Berln\"",
        &[(
            2,
            "time_zone \"Europe/Berln\" is no IANA time zone; did you mean Europe/Berlin?",
        )],
    );
    let long = format!("filter = '{}'", "x".repeat(8193));
    check(&long, &[(2, "filter has 8193 bytes of SQL, at most 8192")]);
    let long = format!("description = '{}'", "x".repeat(4097));
    check(
        &long,
        &[(2, "the description has 4097 bytes, at most 4096")],
    );
}

#[test]
fn events_that_cannot_be_named() {
    check(
        "key_event = \"*\"\nfeatures = [\"a\", \"b\",\n \"a\", \"\"]\nsteps = [\"$group\", 3]",
        &[
            (2, "\"*\" cannot stand here: name the events"),
            (4, "an event's name has 1 to 200 bytes, \"\" has 0"),
            (4, "features \"a\" stands twice, first in line 3"),
            (5, "steps is a list; expected: a list of strings"),
        ],
    );
    check(
        "features = [\"$identify\"]\n[[weight]]\nevents = [\"a\", \"*\"]\nweight = 1",
        &[
            (
                2,
                "\"$identify\" is no activity: names that start with $ carry traits",
            ),
            (4, "\"*\" cannot stand here: name the events"),
        ],
    );
}

#[test]
fn weights_that_do_not_fit() {
    check(
        "[[weight]]\nevent = \"x\"\nweight = 0.12345\n[[weight]]\nweight = \"1\"\n\
         [[weight]]\nevent = \"y\"\n[[weight]]\nevent = \"z\"\nevents = [\"u\"]\nweight = 0x10\n\
         [[weight]]\nevents = []\nweight = inf",
        &[
            (
                4,
                "weight of \"x\" is 0.12345; a weight has at most 4 decimals",
            ),
            (5, "a weight needs event or events"),
            (6, "weight is \"1\"; expected: a decimal number"),
            (7, "the weight of \"y\" has no number"),
            (11, "a weight has event or events, not both"),
            (12, "weight is 0x10; expected: a decimal number"),
            (14, "events is a list; expected: at least one event"),
            (15, "weight of \"?\" is inf; a weight is a finite number"),
        ],
    );
    check(
        "[[weight]]\nevent = \"x\"\nweight = 1\ntimes_value = true\ndaily_cap = 3\n\
         [[weight]]\nevent = \"y\"\nweight = 1\ntimes_value = 1\ndaily_cap = 0",
        &[
            (
                6,
                "the weight of \"x\" has times_value and daily_cap; only one goes",
            ),
            (10, "times_value is 1; expected: true or false"),
            (
                11,
                "daily_cap is 0; expected: a whole number from 1 to 1000000",
            ),
        ],
    );
}

#[test]
fn weights_that_are_never_reached() {
    check(
        "[[weight]]\nevent = \"a\"\nweight = 1\n[[weight]]\nevents = [\"b\", \"a\"]\nweight = 1\n\
         [[weight]]\nevent = \"b\"\nwhere = \"value > 1\"\nweight = 1\n\
         [[weight]]\nevent = \"*\"\nwhere = \"value > 2\"\nweight = 1\n\
         [[weight]]\nevent = \"c\"\nwhere = \"value > 2\"\nweight = 1\n\
         [[weight]]\nevent = \"*\"\nweight = 1\n[[weight]]\nevent = \"d\"\nweight = 1",
        &[
            (6, "the weight of \"a\" is never reached: line 3 takes it"),
            (9, "the weight of \"b\" is never reached: line 6 takes it"),
            (17, "the weight of \"c\" is never reached: line 12 takes it"),
            (
                23,
                "the weight of \"d\" is never reached: line 20 takes every event",
            ),
        ],
    );
    let filtered_first = "name = \"m\"\n[[weight]]\nevent = \"a\"\nwhere = \"value > 1\"\n\
         weight = 2\n[[weight]]\nevent = \"a\"\nwhere = \"value > 0\"\nweight = 2\n\
         [[weight]]\nevent = \"a\"\nweight = 1\n[[weight]]\nevent = \"*\"\nweight = 0";
    assert_eq!(parse(filtered_first).expect("valid").weights.len(), 4);
}

#[test]
fn thresholds_that_do_not_fit() {
    check(
        "[thresholds]\nscore = { red = \"<= 70\", green = \">= 70\" }\n\
         trend = { red = \"< 3\", green = \"< 4\" }\nraw = { red = \"3\", green = 4 }\n\
         members = { }",
        &[
            (
                3,
                "the thresholds of score: red \"<= 70\" and green \">= 70\" overlap: 70 is both",
            ),
            (
                4,
                "the thresholds of trend: red \"< 3\" and green \"< 4\" look in the same \
                 direction; one needs < or <=, the other > or >=",
            ),
            (5, "green is 4; expected: a string"),
            (
                5,
                "red: \"3\" is no threshold; <, <=, > or >= and a number are expected, as in \
                 \"< 30\" or \">= 5/7\"",
            ),
            (6, "the thresholds of members need red and green"),
        ],
    );
    check_signal(
        "metric = \"score\"\nred = \"<= 70\"\ngreen = \">= 70\"",
        &[(
            7,
            "signal \"score\": red \"<= 70\" and green \">= 70\" overlap: 70 is both",
        )],
    );
    let own = "name = \"m\"\n[thresholds]\nraw = { red = \"< 70\", green = \">= 70\" }\n\
         [churn_risk]\nraw = 0.5\n[[dimension]]\nname = \"d\"\nsignal = [{ metric = \"raw\" }]";
    let model = parse(own).expect("valid");
    assert_eq!(
        signal_of(&model, "raw").thresholds,
        thresholds("< 70", ">= 70")
    );
    assert_eq!(model.churn_risk, [(Metric::Raw, 0.5)]);
}

#[test]
fn sources_of_signals() {
    check_signal(
        "name = \"x\"\ninfo = true",
        &[(
            4,
            "a signal needs one of metric, count, active_days, sum, avg, last, open, sessions, \
             trait, sql",
        )],
    );
    check_signal(
        "name = \"x\"\ncount = \"a\"\nsum = \"b\"\ninfo = true",
        &[(7, "a signal has one source, this has count and sum")],
    );
    check_signal(
        "name = \"x\"\nsessions = \"minutes\"\nwhere = \"value > 1\"\nband_of = \"changes\"\n\
         info = true",
        &[
            (
                6,
                "sessions is \"minutes\"; expected: \"count\" or \"total_minutes\" or \
                 \"mean_minutes\"",
            ),
            (7, "where goes only with count, active_days, sum, avg, last"),
            (
                8,
                "band_of is \"changes\"; expected: \"value\" or \"change\" or \
                 \"change_percent\"; did you mean change?",
            ),
        ],
    );
    check_signal(
        "name = \"x\"\nopen = { opened = \"a\", close = \"b\" }\ninfo = true",
        &[
            (6, "open has no key close; did you mean closed?"),
            (6, "open needs closed"),
        ],
    );
    check_signal(
        "name = \"x\"\nopen = { opened = \"*\", closed = \"b\" }\ninfo = true",
        &[(6, "opened is \"*\"; expected: events by name")],
    );
    check_signal(
        "name = \"x\"\nopen = { opened = [\"a\", \"b\"], closed = \"b\" }\ninfo = true",
        &[(6, "\"b\" both opens and closes")],
    );
    check_signal(
        "name = \"x\"\nlast = []\ninfo = true",
        &[(6, "last is a list; expected: at least one event")],
    );
    check_signal(
        "metric = \"scor\"",
        &[(5, "there is no metric scor; did you mean score?")],
    );
    check_signal(
        "name = \"x\"\ntrait = \"\"\ninfo = true",
        &[(
            6,
            "trait is \"\"; expected: 1 to 64 bytes without line breaks and outer spaces",
        )],
    );
}

#[test]
fn signals_need_bands_or_are_for_information() {
    check_signal(
        "name = \"x\"\ncount = \"*\"",
        &[(4, "signal \"x\" needs red and green, or info = true")],
    );
    check_signal(
        "metric = \"tenure_days\"",
        &[(
            4,
            "signal \"tenure_days\" needs red and green, or info = true",
        )],
    );
    check_signal(
        "metric = \"score\"\nband_of = \"change\"",
        &[(4, "signal \"score\" needs red and green, or info = true")],
    );
    check_signal(
        "name = \"x\"\ncount = \"*\"\nred = \"< 3\"",
        &[(7, "signal \"x\": only red is given; both are needed")],
    );
}

#[test]
fn names_of_signals_and_dimensions() {
    let signal = |name: &str| format!("name = \"{name}\"\ncount = \"a\"\ninfo = true");
    for (name, owner) in [
        ("score", "this is a metric"),
        ("mrr", "this is a column of accounts"),
        ("email", "this is a column of users"),
        ("status", "this name is reserved"),
    ] {
        let message = format!("a signal cannot be named {name}: {owner}");
        check_signal(&signal(name), &[(5, &message)]);
    }
    for name in ["", "X", "1a", "a-b", &"n".repeat(65)] {
        let message =
            format!("name is \"{name}\"; expected: 1 to 64 of a-z, 0-9 and _, the first a letter");
        check_signal(&signal(name), &[(5, &message)]);
    }
    check_signal(
        "name = \"trend\"\nmetric = \"score\"",
        &[(5, "a signal cannot be named trend: this is a metric")],
    );
    check_signal(
        "count = \"a\"\ninfo = true",
        &[(4, "a signal needs a name")],
    );
    check(
        "[[dimension]]\nname = \"d\"\nsignal = [{ metric = \"score\" },\n{ metric = \"score\" }]\n\
         [[dimension]]\nname = \"d\"\n[[dimension]]\nname = \"e\\n\"\n\
         signal = [{ name = \"score\", metric = \"score\" }]\n[[dimension]]",
        &[
            (5, "signal \"score\" stands twice, first in line 4"),
            (6, "a dimension needs a [[dimension.signal]]"),
            (7, "dimension \"d\" stands twice, first in line 3"),
            (
                9,
                "name is \"e\\n\"; expected: 1 to 64 bytes without line breaks and outer spaces",
            ),
            (10, "signal \"score\" stands twice, first in line 4"),
            (11, "a dimension needs a [[dimension.signal]]"),
            (11, "a dimension needs a name"),
        ],
    );
}

#[test]
fn predicates_that_do_not_fit() {
    check(
        "[[stage]]\nname = \"a\"\n[[stage]]\nwhen = \"TRUE\"\n[[segment]]\nname = \"a\"\n\
         when = \"TRUE\"\n[[segment]]\nname = \"a\"\nwhen = \"\"",
        &[
            (2, "a stage needs when"),
            (4, "a stage needs name"),
            (10, "segment \"a\" stands twice, first in line 7"),
            (11, "when is \"\"; expected: SQL"),
        ],
    );
}

#[test]
fn risks_and_expansion_that_do_not_fit() {
    check(
        "[churn_risk]\nscore = 1.5\ntenure_days = 0.5\nchurn_risk = 0.1\ntrends = 0.1\n\
         [expansion]\nscore = 0\nseats_percent = 1001",
        &[
            (3, "score is 1.5; expected: a number from 0 to 1"),
            (
                4,
                "tenure_days has no thresholds; give it some in [thresholds]",
            ),
            (5, "churn_risk cannot be a part of itself"),
            (6, "there is no metric trends; did you mean trend?"),
            (8, "score is 0; expected: a number from 1 to 100"),
            (
                9,
                "seats_percent is 1001; expected: a number from 0 to 1000",
            ),
        ],
    );
    check(
        "[[dimension.signal]]\nmetric = \"score\"",
        &[(
            2,
            "dimension is a table; expected: tables, written [[dimension]]",
        )],
    );
    let none = parse("name = \"m\"\n[churn_risk]\n").expect("valid");
    assert!(none.churn_risk.is_empty());
}

#[test]
fn limits_on_counts() {
    let check_limit = |text: &str, message: &str| {
        let faults = parse(&format!("name = \"m\"\n{text}")).expect_err(message);
        assert_eq!(faults.0.len(), 1, "{faults}");
        assert_eq!(faults.0[0].message, message);
        faults.0[0].line
    };
    let weights: String = (0..1_001)
        .map(|at| format!("[[weight]]\nevent = \"e{at}\"\nweight = 1\n"))
        .collect();
    let line = check_limit(&weights, "1001 times [[weight]], at most 1000");
    assert_eq!(line, 3_002);
    let names: Vec<String> = (0..1_001).map(|at| format!("\"e{at}\"")).collect();
    let features = format!("features = [{}]", names.join(","));
    check_limit(&features, "features lists 1001, at most 1000");
    let stages: String = (0..101)
        .map(|at| format!("[[stage]]\nname = \"{at}\"\nwhen = \"TRUE\"\n"))
        .collect();
    check_limit(&stages, "101 times [[stage]], at most 100");
    let dimension = |at: usize, signals: usize| {
        let signals: String = (0..signals)
            .map(|signal| format!("{{ name = \"s{at}_{signal}\", count = \"e\", info = true }},\n"))
            .collect();
        format!("[[dimension]]\nname = \"{at}\"\nsignal = [\n{signals}]\n")
    };
    let dimensions: String = (0..17).map(|at| dimension(at, 1)).collect();
    check_limit(&dimensions, "17 times [[dimension]], at most 16");
    let signals = [dimension(0, 60), dimension(1, 41)].concat();
    let line = check_limit(&signals, "a model has at most 100 signals");
    assert_eq!(line, 1 + 3 + 60 + 1 + 3 + 41);
}

#[test]
fn many_faults_are_counted() {
    let text: String = (0..500).map(|at| format!("zz{at} = 1\n")).collect();
    let faults = parse(&format!("name = \"m\"\n{text}"))
        .expect_err("faults")
        .0;
    assert_eq!(faults.len(), 101);
    assert_eq!(faults[99].line, 101);
    assert_eq!(
        faults[100].message,
        "from here on there are 400 more faults"
    );
}

#[test]
fn what_is_said_of_a_fault_is_short() {
    let long = "x".repeat(100_000);
    let text = format!("{long} = 1\nname = \"{long}\"\nfeatures = [\"{long}\"]");
    let faults = parse(&text).expect_err("faults").0;
    assert_eq!(faults.len(), 3);
    assert!(faults.iter().all(|fault| fault.message.len() < 600));
}

#[test]
fn empty_lists_are_none() {
    let model = parse("name = \"m\"\nweight = []\ndimension = []").expect("valid");
    assert_eq!(model.weights, [every_event()]);
    assert_eq!(model.dimensions.len(), 1);
}
