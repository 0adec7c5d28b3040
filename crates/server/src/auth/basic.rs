//! HTTP's Basic scheme, for clients that know a name and a password: the password is the token.

/// The password of `Basic BASE64(NAME:PASSWORD)`; the word's case does not matter, and the name is
/// free.
pub(super) fn password(header: &[u8]) -> Option<Vec<u8>> {
    let (word, encoded) = header.split_at_checked(6)?;
    if !word.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut pair = decode(encoded.trim_ascii())?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some(pair.split_off(colon + 1))
}

/// The bytes of base64, with its padding or without.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let digits = &text[..text.len() - padding];
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut number: u32 = 0;
        for &byte in group {
            number = number << 6 | u32::from(digit(byte)?);
        }
        // What is missing of four digits stands in no byte.
        number <<= 6 * (4 - group.len());
        let count = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        bytes.extend(&number.to_be_bytes()[1..=count]);
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 4648, and the example of RFC 7617.
    #[test]
    fn base64_is_read_as_its_standard_says() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zm9vYg", "foob"),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
        for text in ["Z", "Zm9v====", "Zm 9v", "Zm9é", "====", "Zm9v-_"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
        let found = password(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(found.as_deref(), Some(&b"open sesame"[..]));
    }

    #[test]
    fn the_password_stands_behind_the_first_colon() {
        // "a:b:c"
        assert_eq!(password(b"BASIC YTpiOmM=").as_deref(), Some(&b"b:c"[..]));
        // "a"
        assert_eq!(password(b"Basic YQ=="), None);
        for header in ["", "Basic", "Basic ", "Bearer YTpi", "Basic !"] {
            assert_eq!(password(header.as_bytes()), None, "{header}");
        }
    }
}
