//! What is no Roman numeral, and why.

use roman::{Error, Roman};

fn why(text: &str) -> String {
    text.parse::<Roman>().unwrap_err().to_string()
}

#[test]
fn only_the_usual_form_is_read() {
    assert_eq!(why("IIII"), "this is written IV");
    assert_eq!(why("IC"), "this is written XCIX");
    assert_eq!(why("VX"), "this is written V");
}

#[test]
fn other_letters_are_named_with_their_place() {
    assert_eq!(why("XIÄ"), "'Ä' at 3 is no Roman letter");
    assert_eq!("".parse::<Roman>(), Err(Error::Empty));
}

#[test]
fn numbers_have_an_end() {
    assert_eq!(Roman::new(0), Err(Error::OutOfRange(0)));
    assert_eq!(
        Roman::new(4000).unwrap_err().to_string(),
        "4000 is not from 1 to 3999"
    );
    assert_eq!(why("MMMM"), "4000 is not from 1 to 3999");
}
