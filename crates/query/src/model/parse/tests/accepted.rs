//! The defaults, and the example of the documentation.

use super::*;
use crate::model::builtin::BUILTIN_TEXT;
use crate::model::definition::{Banded, EventMeasure, SessionMeasure, SignalSource, SqlText};

const B2B: &str = include_str!("../../../../tests/models/b2b.toml");

fn named(names: &[&str]) -> EventSet {
    EventSet::Named(names.iter().map(|&name| name.to_owned()).collect())
}

fn sql(sql: &str, line: usize) -> SqlText {
    SqlText {
        sql: sql.to_owned(),
        line,
    }
}

/// The line of the first line of `text` that contains `part`.
fn line_with(text: &str, part: &str) -> usize {
    let at = text.lines().position(|line| line.contains(part));
    at.expect(part) + 1
}

#[test]
fn the_built_in_model() {
    let model = Model::builtin();
    assert_eq!(model.name, "default");
    let description = model.description.as_deref().expect("a description");
    assert!(description.contains("built-in default"), "{description}");
    assert!(description.contains("model apply"), "{description}");
    assert_eq!(model.entity, Entity::Account);
    assert_eq!(model.priority, None);
    assert_eq!((model.period_days, model.time_zone.as_str()), (30, "UTC"));
    assert_eq!((model.percentile, model.curve), (0.9, None));
    assert_eq!((model.method, model.peg_floor), (Method::Peg, None));
    assert_eq!((model.min_population, model.session_gap_minutes), (1, 30));
    assert_eq!(model.member_base, MemberBase::Known);
    assert_eq!(model.healthy_days_max, 90);
    assert_eq!(model.weights, [every_event()]);
    assert_eq!(model.weights[0].units, 10_000);
    assert!(model.features.is_empty() && model.steps.is_empty());
    assert!(model.stages.is_empty() && model.segments.is_empty());
    assert_eq!(
        (model.expansion.score, model.expansion.seats_percent),
        (75.0, 90.0)
    );
    assert!(model.event_names().is_empty());

    let [dimension] = model.dimensions.as_slice() else {
        panic!("{:?}", model.dimensions);
    };
    assert_eq!(dimension.name, "product");
    let bounds = |name: &str| signal_of(&model, name).thresholds;
    assert_eq!(bounds("score"), thresholds("<= 20", ">= 85"));
    assert_eq!(bounds("days_inactive"), thresholds(">= 30", "<= 7"));
    assert_eq!(bounds("usage_frequency"), thresholds("<= 2/7", ">= 5/7"));
    assert_eq!(bounds("active_user_pct"), thresholds("< 30", ">= 70"));
    assert_eq!(bounds("feature_adoption"), thresholds("< 30", ">= 70"));
    assert_eq!(bounds("activation_rate"), thresholds("< 40", ">= 70"));
    assert_eq!(bounds("trend_own"), thresholds("<= -10", ">= 0"));
    assert_eq!(dimension.signals.len(), 7);
    assert_eq!(
        model.thresholds_of(Metric::Trend),
        thresholds("<= -10", ">= 0")
    );
    assert_eq!(
        model.thresholds_of(Metric::HealthyUserPct),
        thresholds("< 30", ">= 70")
    );
    assert_eq!(model.thresholds_of(Metric::TenureDays), None);
    assert_eq!(
        model.churn_risk,
        [
            (Metric::UsageFrequency, 0.3),
            (Metric::DaysInactive, 0.5),
            (Metric::FeatureAdoption, 0.2),
            (Metric::ActiveUserPct, 0.3),
            (Metric::ActivationRate, 0.2),
            (Metric::TrendOwn, 0.4),
        ]
    );
}

#[test]
fn the_comments_of_the_built_in_model_are_its_defaults() {
    // Everything that stands there to be edited, but for the examples of catalogues.
    let live: String = BUILTIN_TEXT
        .lines()
        .skip_while(|line| !line.starts_with("# What follows"))
        .skip(1)
        .filter(|line| {
            !["features", "steps", "key_event"]
                .iter()
                .any(|key| line.contains(key))
        })
        .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
        .collect();
    let model = parse(&format!("name = \"default\"\n{live}")).expect("valid");
    let mut expected = Model::clone(&Model::builtin());
    expected.description = None;
    for signal in &mut expected.dimensions[0].signals {
        signal.line = signal_of(&model, &signal.name).line;
    }
    assert_eq!(model, expected);
}

#[test]
fn the_example_of_the_documentation() {
    let model = parse(B2B).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!((model.entity, model.priority), (Entity::Account, Some(10)));
    assert_eq!(
        model.filter,
        Some(sql(
            "plan IS NULL OR plan <> 'internal'",
            line_with(B2B, "filter = ")
        ))
    );
    assert_eq!(model.time_zone, "Europe/Berlin");
    assert_eq!((model.peg_floor, model.min_population), (Some(50.0), 5));
    assert_eq!(model.key_event.as_deref(), Some("report_created"));
    assert_eq!((model.features.len(), model.steps.len()), (5, 5));

    let units: Vec<i64> = model.weights.iter().map(|weight| weight.units).collect();
    assert_eq!(units, [125_000, 70_000, 50_000, 5, 10_000, -30_000, 0]);
    assert_eq!(model.weights[0].events, named(&["report_created"]));
    assert_eq!(
        model.weights[0].filter,
        Some(sql("value > 10", line_with(B2B, "where = \"value > 10\"")))
    );
    assert_eq!(
        model.weights[2].events,
        named(&["invite_sent", "report_shared"])
    );
    assert_eq!(model.weights[2].daily_cap, Some(10));
    assert!(model.weights[3].times_value);
    assert_eq!(model.weights[6].events, EventSet::All);

    let names: Vec<&str> = model
        .dimensions
        .iter()
        .map(|dimension| dimension.name.as_str())
        .collect();
    assert_eq!(names, ["product", "financial", "support"]);
    let frequency = signal_of(&model, "usage_frequency");
    assert_eq!(frequency.thresholds, thresholds("<= 1/7", ">= 4/7"));
    assert_eq!(
        frequency.line,
        line_with(B2B, "{ metric = \"usage_frequency\" }")
    );
    let open = signal_of(&model, "overdue_invoices");
    assert_eq!(
        open.source,
        SignalSource::Open {
            opened: named(&["invoice_overdue"]),
            closed: named(&["invoice_paid", "invoice_voided"]),
        }
    );
    assert_eq!(open.thresholds, thresholds(">= 1", "< 1"));
    let spike = signal_of(&model, "ticket_spike");
    assert_eq!(spike.banded, Banded::ChangePercent);
    assert!(matches!(
        &spike.source,
        SignalSource::Events { measure: EventMeasure::Count, filter: Some(filter), .. }
            if filter.sql.contains("question")
    ));
    let minutes = signal_of(&model, "minutes_per_session");
    assert_eq!(
        minutes.source,
        SignalSource::Sessions(SessionMeasure::MeanMinutes)
    );
    assert!(minutes.is_info && minutes.thresholds.is_none());
    assert_eq!(
        signal_of(&model, "promoter").source,
        SignalSource::Trait("nps".to_owned())
    );
    assert!(matches!(
        &signal_of(&model, "reports_per_seat").source,
        SignalSource::Sql(text) if text.sql.contains("nullif")
    ));
    assert_eq!(model.stages.len(), 4);
    assert_eq!(
        model.segments[1].when,
        sql(
            "mrr >= 1000\nAND days_inactive >= 10",
            line_with(B2B, "mrr >= 1000")
        )
    );
    assert_eq!(
        model.churn_risk,
        [
            (Metric::DaysInactive, 0.5),
            (Metric::ActiveUserPct, 0.3),
            (Metric::TrendOwn, 0.4)
        ]
    );
    let events = model.event_names();
    let first = line_with(B2B, "key_event = ");
    assert_eq!(events[0], ("report_created".to_owned(), first));
    assert!(events.iter().any(|event| event.0 == "invoice_voided"));
    assert!(events.is_sorted_by_key(|event| event.1));
    assert!(events.iter().all(|event| event.0 != "*"));
}

#[test]
fn the_documentation_has_the_example_and_every_key() {
    let page = include_str!("../../../../../../docs/models.md");
    assert!(
        page.contains(&format!("```toml\n{B2B}```")),
        "the example differs"
    );
    let keys = [MODEL_KEYS, weights::KEYS, signals::KEYS].concat();
    let tables = [
        "weight",
        "thresholds",
        "dimension",
        "stage",
        "segment",
        "churn_risk",
        "expansion",
    ];
    for key in keys {
        let named = if tables.contains(&key) {
            page.contains(&format!("`[{key}]`")) || page.contains(&format!("`[[{key}]]`"))
        } else {
            page.contains(&format!("`{key}`")) || page.contains(&format!("`{key} = "))
        };
        assert!(named, "{key}");
    }
    for metric in Metric::ALL {
        let row = format!("`{}`", metric.column());
        assert!(page.contains(&row), "{row}");
        if let Some(thresholds) = metric.default_thresholds() {
            let bounds = page
                .lines()
                .filter(|line| line.starts_with("| `") && line.contains(&row));
            let read = bounds.filter_map(|line| {
                let mut cells = line
                    .split('|')
                    .skip(2)
                    .map(|cell| cell.trim().trim_matches('`'));
                let red = Bound::parse(cells.next()?).ok()?;
                Thresholds::of(red, Bound::parse(cells.next()?).ok()?).ok()
            });
            assert_eq!(read.collect::<Vec<_>>(), [thresholds], "{row}");
        }
    }
}

#[test]
fn names_of_entities_come_back() {
    for entity in [Entity::Account, Entity::User, Entity::Member] {
        assert_eq!(Entity::of(entity.as_str()), Some(entity));
    }
    assert_eq!(Entity::of("Account"), None);
}
