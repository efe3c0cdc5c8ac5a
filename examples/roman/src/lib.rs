//! Roman numerals from 1 to 3999: written in the one usual form, and read in no other.

use std::fmt;
use std::str::FromStr;

/// The largest number that has a numeral without a line above its letters.
pub const MAX: u16 = 3999;

/// A number that has a Roman numeral.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Roman(u16);

/// Why a text or a number is no Roman numeral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// 0, or more than `MAX`.
    OutOfRange(u32),
    /// A letter that stands for nothing, and where: counted in characters from 1.
    Letter(char, usize),
    /// Letters in an order that nobody writes; the usual form of their sum.
    Unusual(String),
    /// No letters at all.
    Empty,
}

const SYMBOLS: [(u16, &str); 13] = [
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];

fn value(letter: char) -> Option<u32> {
    Some(match letter.to_ascii_uppercase() {
        'I' => 1,
        'V' => 5,
        'X' => 10,
        'L' => 50,
        'C' => 100,
        'D' => 500,
        'M' => 1000,
        _ => return None,
    })
}

impl Roman {
    /// The numeral of a number.
    pub fn new(number: u32) -> Result<Roman, Error> {
        match u16::try_from(number) {
            Ok(n) if (1..=MAX).contains(&n) => Ok(Roman(n)),
            _ => Err(Error::OutOfRange(number)),
        }
    }

    /// The number of a numeral.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Roman {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (value, letters) in SYMBOLS {
            while rest >= value {
                f.write_str(letters)?;
                rest -= value;
            }
        }
        Ok(())
    }
}

impl FromStr for Roman {
    type Err = Error;

    /// A letter before a larger one is taken away from it; what comes out must be written as it was read.
    fn from_str(text: &str) -> Result<Roman, Error> {
        let mut values = Vec::new();
        for (at, letter) in text.chars().enumerate() {
            values.push(value(letter).ok_or(Error::Letter(letter, at + 1))?);
        }
        if values.is_empty() {
            return Err(Error::Empty);
        }
        let mut sum: i64 = 0;
        for (i, v) in values.iter().enumerate() {
            let smaller = matches!(values.get(i + 1), Some(next) if v < next);
            sum += if smaller {
                -i64::from(*v)
            } else {
                i64::from(*v)
            };
        }
        let roman = Roman::new(u32::try_from(sum).unwrap_or(0))?;
        let usual = roman.to_string();
        if usual.eq_ignore_ascii_case(text) {
            Ok(roman)
        } else {
            Err(Error::Unusual(usual))
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::OutOfRange(n) => write!(f, "{n} is not from 1 to {MAX}"),
            Error::Letter(c, at) => write!(f, "{c:?} at {at} is no Roman letter"),
            Error::Unusual(usual) => write!(f, "this is written {usual}"),
            Error::Empty => write!(f, "there are no letters"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_read_as_it_is_written() {
        for n in 1..=u32::from(MAX) {
            let roman = Roman::new(n).unwrap();
            assert_eq!(roman.to_string().parse(), Ok(roman), "{n}");
        }
    }

    #[test]
    fn letters_before_larger_ones_are_taken_away() {
        assert_eq!(Roman::new(1994).unwrap().to_string(), "MCMXCIV");
        assert_eq!("mmxxvi".parse::<Roman>().unwrap().number(), 2026);
    }
}
