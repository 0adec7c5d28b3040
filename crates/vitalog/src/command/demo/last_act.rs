//! The last act of the demonstration: the account that left last, week by week before it left, and
//! beside it one that stood where it stood and stayed.
//!
//! Every number is asked as of its day, so it tells what could have been known then.

use std::collections::BTreeMap;
use std::io::{self, Write};

use vitalog_event::{DAY_US, format_timestamp_us};

use crate::command::grid::{decimal, shown_date, signed};
use crate::command::health::Question;
use crate::command::source::Source;
use crate::sql::visible;

/// Weeks before the end that are told.
const WEEKS: u32 = 7;
/// Points of a score within which two accounts stand alike.
const NEAR_POINTS: f64 = 15.0;

/// How an account stood at one instant.
#[derive(Clone, Debug, PartialEq)]
struct Point {
    weeks_before: u32,
    score: f64,
    /// Own trend: points since a period before, both by the peg of the instant.
    trend: f64,
    direction: String,
}

/// An account over the weeks, in order of time.
#[derive(Clone, Debug, PartialEq)]
struct Course {
    name: String,
    points: Vec<Point>,
}

/// Who left, and who stayed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LastAct {
    left_us: i64,
    leaver: Course,
    stayer: Option<Course>,
}

impl Course {
    /// Weeks before the end from which on the trend points down without a break.
    fn turned(&self) -> Option<&Point> {
        let falling = self.points.iter().rev();
        falling.take_while(|point| point.direction == "down").last()
    }

    fn is_flat(&self) -> bool {
        self.points.iter().all(|point| point.direction == "flat")
    }

    /// The largest trend, whichever way.
    fn widest_trend(&self) -> f64 {
        let trends = self.points.iter().map(|point| point.trend.abs());
        trends.fold(0.0, f64::max)
    }
}

impl LastAct {
    /// Asks for the account that left last; `None` where none has, or none was scored for weeks
    /// before it left.
    ///
    /// # Errors
    /// A statement fails.
    pub fn ask(source: &Source, question: &Question) -> anyhow::Result<Option<Self>> {
        let gone = source.ask(
            "SELECT account_id, churned_at FROM accounts WHERE churned_at IS NOT NULL \
             ORDER BY churned_at DESC, account_id LIMIT 1",
        )?;
        let id = gone.texts("account_id")?.into_iter().next().flatten();
        let left_us = gone.times("churned_at")?.into_iter().next().flatten();
        let Some((id, left_us)) = id.zip(left_us) else {
            return Ok(None);
        };
        let rows = source.ask(&history_sql(question, left_us))?;
        let mut courses: BTreeMap<String, Course> = BTreeMap::new();
        let (times, names) = (rows.times("as_of")?, rows.texts("name")?);
        let (scores, trends) = (rows.numbers("score")?, rows.numbers("trend")?);
        let directions = rows.texts("direction")?;
        for (row, account) in rows.texts("account_id")?.into_iter().enumerate() {
            let account = account.unwrap_or_default();
            let name = names[row].clone().unwrap_or_else(|| account.clone());
            let points = Vec::new();
            let course = courses
                .entry(account)
                .or_insert_with(|| Course { name, points });
            if let (Some(as_of_us), Some(score), Some(trend), Some(direction)) =
                (times[row], scores[row], trends[row], &directions[row])
            {
                course.points.push(Point {
                    weeks_before: ((left_us - as_of_us) / (7 * DAY_US)) as u32,
                    score,
                    trend,
                    direction: direction.clone(),
                });
            }
        }
        courses.retain(|_, course| course.points.len() == WEEKS as usize);
        for course in courses.values_mut() {
            course
                .points
                .sort_by_key(|point| std::cmp::Reverse(point.weeks_before));
        }
        let Some(leaver) = courses.remove(&id) else {
            return Ok(None);
        };
        let stayer = steady(&leaver, courses.into_values());
        Ok(Some(Self {
            left_us,
            leaver,
            stayer,
        }))
    }

    /// Writes the weeks of both and what they tell.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let left = shown_date(self.left_us);
        let leaver = visible(&self.leaver.name);
        writeln!(out, "The account that left last: {leaver}, on {left}\n")?;
        write!(out, "  {:<28}", "weeks before")?;
        for point in &self.leaver.points {
            write!(out, "{:>9}", point.weeks_before)?;
        }
        writeln!(out)?;
        for course in [Some(&self.leaver), self.stayer.as_ref()]
            .into_iter()
            .flatten()
        {
            write_course(out, course)?;
        }
        writeln!(out, "\n{}", self.told())
    }

    /// What the numbers say.
    fn told(&self) -> String {
        let one = |number| decimal(Some(number), 1).unwrap_or_default();
        let leaver = visible(&self.leaver.name);
        let mut told = match (self.leaver.turned(), self.leaver.points.last()) {
            (Some(turn), Some(last)) => format!(
                "By its own trend {leaver} turned down {} weeks before it left, at a score of {}: \
                 {} points below a period before. A week before it left it stood at {}.",
                turn.weeks_before,
                one(turn.score),
                one(-turn.trend),
                one(last.score)
            ),
            _ => format!("The own trend of {leaver} did not point down before it left."),
        };
        if let (Some(stayer), Some(first)) = (&self.stayer, self.leaver.points.first()) {
            let begun = stayer.points.first().map_or(0.0, |point| point.score);
            told += &format!(
                " {}, at {} when {leaver} was at {}, stayed flat: never more than {} points from \
                 a period before.",
                visible(&stayer.name),
                one(begun),
                one(first.score),
                one(stayer.widest_trend())
            );
        }
        told
    }
}

/// Of those that were flat all the time and began near, the calmest.
fn steady(leaver: &Course, others: impl Iterator<Item = Course>) -> Option<Course> {
    let begun = |course: &Course| course.points.first().map_or(f64::NAN, |point| point.score);
    let distance = |course: &Course| (begun(course) - begun(leaver)).abs();
    others
        .filter(|course| course.is_flat() && distance(course) <= NEAR_POINTS)
        .min_by(|left, right| left.widest_trend().total_cmp(&right.widest_trend()))
}

/// The scores at the end of each week before `left_us`.
fn history_sql(question: &Question, left_us: i64) -> String {
    let weeks = (1..=WEEKS).rev().map(|weeks| {
        let as_of_us = left_us - i64::from(weeks) * 7 * DAY_US;
        let at = Question {
            as_of: Some(format_timestamp_us(as_of_us)),
            ..question.clone()
        };
        format!(
            "SELECT as_of, account_id, score, trend_own, direction FROM {}",
            at.call("health_scores", &[])
        )
    });
    let union = weeks.collect::<Vec<_>>().join(" UNION ALL ");
    format!(
        "SELECT h.as_of, h.account_id, a.name, h.score, h.trend_own AS trend, h.direction \
         FROM ({union}) AS h LEFT JOIN accounts AS a ON a.account_id = h.account_id \
         WHERE h.account_id IS NOT NULL"
    )
}

fn write_course(out: &mut dyn Write, course: &Course) -> io::Result<()> {
    let name: String = visible(&course.name).chars().take(20).collect();
    write!(out, "  {name:<20}  score ")?;
    for point in &course.points {
        write!(
            out,
            "{:>9}",
            decimal(Some(point.score), 1).unwrap_or_default()
        )?;
    }
    let bars: String = course
        .points
        .iter()
        .map(|point| block(point.score))
        .collect();
    writeln!(out, "   {bars}")?;
    write!(out, "  {:<20}  trend ", "")?;
    for point in &course.points {
        let arrow = match point.direction.as_str() {
            "up" => '▲',
            "down" => '▼',
            _ => '▬',
        };
        let trend = decimal(Some(point.trend), 1).unwrap_or_default();
        write!(out, "{:>9}", format!("{arrow} {}", signed(&trend)))?;
    }
    writeln!(out)
}

/// A block as high as a score from 1 to 100.
fn block(score: f64) -> char {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let eighth = ((score - 1.0) / 99.0 * 8.0) as usize;
    BLOCKS[eighth.min(BLOCKS.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(name: &str, points: &[(f64, f64, &str)]) -> Course {
        let weeks = (1..=points.len() as u32).rev();
        let points = weeks.zip(points).map(|(weeks_before, point)| Point {
            weeks_before,
            score: point.0,
            trend: point.1,
            direction: point.2.to_owned(),
        });
        Course {
            name: name.to_owned(),
            points: points.collect(),
        }
    }

    fn leaver() -> Course {
        course(
            "Acme",
            &[
                (70.0, -11.0, "down"),
                (71.0, -2.0, "flat"),
                (55.5, -14.25, "down"),
                (20.0, -40.0, "down"),
            ],
        )
    }

    #[test]
    fn the_turn_is_the_begin_of_the_last_fall() {
        assert_eq!(leaver().turned().map(|point| point.weeks_before), Some(2));
        let flat = course("Flat", &[(70.0, 3.0, "flat")]);
        assert_eq!(flat.turned(), None);
    }

    #[test]
    fn who_stayed_began_where_the_other_did() {
        let flat = |name: &str, score| course(name, &[(score, -4.0, "flat"), (score, 1.0, "flat")]);
        let up = course("Up", &[(70.0, 0.0, "flat"), (90.0, 20.0, "up")]);
        let restless = course("Restless", &[(70.0, 9.0, "flat"), (70.0, 0.0, "flat")]);
        let others = [flat("Far", 99.0), restless, flat("Near", 66.0), up];
        let stayer = steady(&leaver(), others.into_iter());
        assert_eq!(stayer.as_ref().map(|one| one.name.as_str()), Some("Near"));
        let act = LastAct {
            left_us: 0,
            leaver: leaver(),
            stayer,
        };
        let told = act.told();
        for words in [
            "turned down 2 weeks before it left, at a score of 55.5: 14.2 points below",
            "A week before it left it stood at 20.0.",
            "Near, at 66.0 when Acme was at 70.0, stayed flat: never more than 4.0 points",
        ] {
            assert!(told.contains(words), "{words:?} is not in {told}");
        }
        let mut out = Vec::new();
        act.write(&mut out).expect("a vector takes it");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("Acme, on 1970-01-01"), "{text}");
        assert!(text.contains("▅▅▄▁") || text.contains("▆▆▅▂"), "{text}");
    }

    #[test]
    fn nothing_is_told_that_did_not_happen() {
        let act = LastAct {
            left_us: 0,
            leaver: course("Acme", &[(70.0, 0.0, "flat")]),
            stayer: None,
        };
        let told = act.told();
        assert_eq!(
            told,
            "The own trend of Acme did not point down before it left."
        );
    }
}
