//! Text that is a key's or an account code's: up to 40 bytes stand where the value stands, longer ones elsewhere.
//!
//! A UUID has 36. Such names are made, copied and compared for every line, so that an allocation each would tell.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use arrayvec::ArrayString;

#[derive(Clone)]
pub(crate) enum Text {
    Short(ArrayString<40>),
    Long(Box<str>),
}

impl Text {
    pub(crate) fn new(text: &str) -> Self {
        ArrayString::from(text).map_or_else(|_too_long| Self::Long(text.into()), Self::Short)
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Short(text) => text,
            Self::Long(text) => text,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_texts_are_the_texts_they_are() {
        let texts: Vec<String> = (1..=60).map(|length| "k".repeat(length)).collect();
        for (before, text) in texts.iter().zip(&texts[1..]) {
            assert_eq!(Text::new(text).as_str(), text);
            assert!(Text::new(before) < Text::new(text));
            assert!(Text::new(text) == Text::new(text));
        }
        assert!(matches!(Text::new(&texts[39]), Text::Short(_)));
        assert!(matches!(Text::new(&texts[40]), Text::Long(_)));
    }
}
