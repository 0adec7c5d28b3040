//! Small texts of generated events, written without allocating: ids, numbers, properties.

use super::vocabulary::{COUNTRIES, PLANS};

/// A bijection of 64 bits that looks random (the finaliser of SplitMix64, Steele et al. 2014):
/// ids made from consecutive numbers never collide.
pub(super) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Text buffers of one row, used again for the next.
#[derive(Debug, Default)]
pub(super) struct RowTexts {
    event_id: String,
    account_id: String,
    user_id: String,
    properties: String,
}

impl RowTexts {
    /// 16 hexadecimal digits.
    pub(super) fn event_id(&mut self, id: u64) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.event_id.clear();
        for shift in (0..16).rev() {
            self.event_id
                .push(char::from(DIGITS[(id >> (shift * 4)) as usize & 15]));
        }
    }

    /// `acct-00042`
    pub(super) fn account_id(&mut self, account: u32) {
        self.account_id.clear();
        self.account_id.push_str("acct-");
        push_number(&mut self.account_id, account, 5);
    }

    /// `user-000042`
    pub(super) fn user_id(&mut self, user: u32) {
        self.user_id.clear();
        self.user_id.push_str("user-");
        push_number(&mut self.user_id, user, 6);
    }

    /// `{"country":"DE","duration_ms":420,"plan":"pro"}`, which is the canonical form.
    pub(super) fn properties(&mut self, country: u8, duration_ms: u32, plan: u8) {
        self.properties.clear();
        self.properties.push_str("{\"country\":\"");
        self.properties
            .push_str(COUNTRIES[usize::from(country)].code);
        self.properties.push_str("\",\"duration_ms\":");
        push_number(&mut self.properties, duration_ms, 1);
        self.properties.push_str(",\"plan\":\"");
        self.properties.push_str(PLANS[usize::from(plan)].name);
        self.properties.push_str("\"}");
    }

    /// Event id, account id, user id, properties, as last written.
    pub(super) fn texts(&self) -> (&str, &str, &str, &str) {
        (
            &self.event_id,
            &self.account_id,
            &self.user_id,
            &self.properties,
        )
    }
}

/// Appends `number` with at least `width` digits (at most 10).
pub(super) fn push_number(text: &mut String, mut number: u32, width: usize) {
    let mut digits = [b'0'; 10];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let start = start.min(digits.len() - width);
    for digit in &digits[start..] {
        text.push(char::from(*digit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_shapes() {
        let mut texts = RowTexts::default();
        texts.event_id(0xdead_beef);
        texts.account_id(42);
        texts.user_id(1_234_567);
        texts.properties(1, 0, 2);
        let properties = r#"{"country":"DE","duration_ms":0,"plan":"pro"}"#;
        assert_eq!(
            texts.texts(),
            ("00000000deadbeef", "acct-00042", "user-1234567", properties)
        );
        let mut canonical = Vec::new();
        vitalog_event::canonical_properties(properties, &mut canonical).expect("valid JSON");
        assert_eq!(canonical, properties.as_bytes());
    }

    #[test]
    fn numbers_are_padded_and_never_cut() {
        let render = |number, width| {
            let mut text = String::new();
            push_number(&mut text, number, width);
            text
        };
        assert_eq!(render(0, 1), "0");
        assert_eq!(render(7, 3), "007");
        assert_eq!(render(u32::MAX, 1), u32::MAX.to_string());
    }
}
