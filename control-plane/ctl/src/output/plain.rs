//! Texts of others on a terminal: names of shops, reasons, explanations.

/// A text that moves no cursor, sets no title and hides nothing: control characters and those that turn the direction
/// of writing are shown as U+FFFD, ends of lines and tabs as a space. JSON output needs none of this.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shop_can_not_write_on_the_screen_with_its_name() {
        assert_eq!(
            plain("\x1b]0;owned\x07\u{9b}2J\u{202e}x\ny"),
            "\u{fffd}]0;owned\u{fffd}\u{fffd}2J\u{fffd}x y"
        );
        assert_eq!(plain("Éclair & Söhne 日本"), "Éclair & Söhne 日本");
    }

    proptest! {
        #[test]
        fn nothing_that_controls_a_terminal_is_left(text in any::<String>()) {
            prop_assert!(!plain(&text).chars().any(char::is_control));
        }
    }
}
