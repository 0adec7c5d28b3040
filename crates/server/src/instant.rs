//! Instants on the wire: protobuf's seconds and nanoseconds, Vitalog's microseconds since 1970.

use prost_types::{Duration as WireDuration, Timestamp};
use std::time::Duration;

use crate::fault::{Fault, Reason};

/// The instants that protobuf can say: from the year 1 to the end of the year 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A time as messages carry it.
pub(crate) fn timestamp(time_us: i64) -> Timestamp {
    Timestamp {
        seconds: time_us.div_euclid(1_000_000),
        nanos: (time_us.rem_euclid(1_000_000) * 1_000) as i32,
    }
}

/// The microseconds of seconds and nanoseconds, saturated: what does not fit lies outside the
/// range of events anyway. Finer digits are cut off.
pub(crate) fn microseconds((seconds, nanos): (i64, i32)) -> Result<i64, String> {
    if !(0..1_000_000_000).contains(&nanos) {
        return Err(format!("nanos is {nanos}, expected 0 to 999,999,999"));
    }
    let micros = i64::from(nanos) / 1_000;
    Ok(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

/// The microseconds of a field of a request.
pub(crate) fn instant_of(field: &str, time: Option<Timestamp>) -> Result<Option<i64>, Fault> {
    let Some(Timestamp { seconds, nanos }) = time else {
        return Ok(None);
    };
    let refused = |why| Fault::of_field(Reason::InvalidRequest, field, why);
    if !SECONDS.contains(&seconds) {
        let why = format!("seconds is {seconds}, which is not in the years 1 to 9999");
        return Err(refused(why));
    }
    microseconds((seconds, nanos)).map(Some).map_err(refused)
}

/// The length of time of a field of a request, at least 0.
pub(crate) fn duration_of(
    field: &str,
    duration: Option<WireDuration>,
) -> Result<Option<Duration>, Fault> {
    let Some(duration) = duration else {
        return Ok(None);
    };
    Duration::try_from(duration).map(Some).map_err(|_| {
        let why = "is below 0 or out of range";
        Fault::of_field(Reason::InvalidRequest, field, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_have_positive_nanoseconds() {
        let time = timestamp(-1);
        assert_eq!((time.seconds, time.nanos), (-1, 999_999_000));
    }

    #[test]
    fn times_are_cut_to_microseconds_and_saturated() {
        assert_eq!(microseconds((1, 999_999_999)), Ok(1_999_999));
        assert_eq!(microseconds((-1, 999_999_999)), Ok(-1));
        assert_eq!(microseconds((i64::MAX, 0)), Ok(i64::MAX));
        assert_eq!(microseconds((i64::MIN, 0)), Ok(i64::MIN));
        assert!(microseconds((0, -1)).is_err());
        assert!(microseconds((0, 1_000_000_000)).is_err());
    }

    #[test]
    fn fields_that_say_no_time_are_named() {
        let of = |seconds, nanos| instant_of("as_of", Some(Timestamp { seconds, nanos }));
        assert_eq!(of(1, 2_000), Ok(Some(1_000_002)));
        assert_eq!(instant_of("as_of", None), Ok(None));
        for (seconds, nanos) in [(i64::MAX, 0), (-62_135_596_801, 0), (0, -1)] {
            assert_eq!(
                of(seconds, nanos).map_err(|fault| fault.reason),
                Err(Reason::InvalidRequest)
            );
        }
        let of = |seconds, nanos| {
            let duration = Some(WireDuration { seconds, nanos });
            duration_of("max_staleness", duration).map_err(|fault| fault.reason)
        };
        assert_eq!(of(2, 5), Ok(Some(Duration::new(2, 5))));
        assert_eq!(of(0, -1), Err(Reason::InvalidRequest));
    }
}
