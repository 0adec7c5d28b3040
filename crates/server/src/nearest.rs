//! The name that a mistyped one was meant to be.

/// The name of `known` nearest to `name`, where one is near: at most a third of its letters, and
/// at least one, may differ.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    let allowed = (length / 3).max(1);
    known
        // As many letters differ at least as one name has more than the other. Clients send names
        // of any length, and comparing costs the product of both.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= allowed)
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["event_id", "event_time", "event", "account_id", "user_id"];
        let cases = [
            ("eventtime", Some("event_time")),
            ("acount_id", Some("account_id")),
            ("User_ID", Some("user_id")),
            ("userid", Some("user_id")),
            ("colour", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
        }
        // Compared letter by letter this would take gigabytes.
        let long = "event_id".repeat(1 << 21);
        assert_eq!(nearest(&long, known.into_iter()), None);
    }
}
