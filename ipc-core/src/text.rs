//! Short texts in fixed fields: UTF-8, cut at a character, filled with zeros.

/// Puts as much of `text` into `N` bytes as fits, leaving at least one zero at the end.
pub(crate) fn encode<const N: usize>(text: &str) -> [u8; N] {
    let mut end = text.len().min(N - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut field = [0; N];
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
    field
}

/// The text in a field. Bytes that are no UTF-8 show as replacement characters.
pub(crate) fn decode(field: &[u8]) -> String {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_ends_at_a_character() {
        assert_eq!(decode(&encode::<8>("jobs")), "jobs");
        assert_eq!(decode(&encode::<8>("äöüß")), "äöü");
        assert_eq!(decode(&encode::<4>("")), "");
    }
}
