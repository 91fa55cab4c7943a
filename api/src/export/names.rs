//! Account codes as the other programs' account names, injectively: two accounts never become one.
//!
//! Codes are `[a-z0-9][a-z0-9:-]*`: no capital letters, so capitals beyond a component's first mark what was changed.

use partita_core::account::Class;

/// Stands for an empty component, and before one that begins with `-`.
const ESCAPE: &str = "XX";
/// The component before a code that does not begin with its class's own word.
const WHOLE_CODE: &str = "CODE";
/// The component before the code of a memo account: beancount has five roots and none for it.
const MEMO: &str = "MEMO";

/// The code itself, but no component is empty.
pub(crate) fn journal(code: &str) -> String {
    code.split(':').map(|component| if component.is_empty() { ESCAPE } else { component }).collect::<Vec<_>>().join(":")
}

/// `assets:processor-clearing` becomes `Assets:Processor-clearing`; `cash`, an asset, `Assets:CODE:Cash`.
pub(crate) fn beancount(code: &str, class: Class) -> String {
    let (root, word) = root(class);
    let mut name = root.to_owned();
    let own = word.and_then(|word| code.strip_prefix(word)).and_then(|rest| rest.strip_prefix(':'));
    let components = match (own, class) {
        (Some(rest), _) => rest,
        (None, Class::Memo) => {
            name.push(':');
            name.push_str(MEMO);
            code
        }
        (None, Class::Asset | Class::Liability | Class::Equity | Class::Revenue | Class::Expense) => {
            name.push(':');
            name.push_str(WHOLE_CODE);
            code
        }
    };
    for component in components.split(':') {
        name.push(':');
        let mut letters = component.chars();
        match letters.next() {
            Some(first) if first.is_ascii_alphanumeric() => {
                name.push(first.to_ascii_uppercase());
                name.push_str(letters.as_str());
            }
            Some(_) | None => {
                name.push_str(ESCAPE);
                name.push_str(component);
            }
        }
    }
    name
}

/// A class's root in beancount (revenue's is renamed by an option), and the word that its codes usually begin with.
fn root(class: Class) -> (&'static str, Option<&'static str>) {
    match class {
        Class::Asset => ("Assets", Some("assets")),
        Class::Liability => ("Liabilities", Some("liabilities")),
        Class::Equity => ("Equity", Some("equity")),
        Class::Revenue => ("Revenue", Some("revenue")),
        Class::Expense => ("Expenses", Some("expenses")),
        Class::Memo => ("Equity", None),
    }
}

#[cfg(test)]
mod tests {
    use partita_core::id::AccountCode;
    use proptest::prelude::*;

    use super::*;

    const CLASSES: [Class; 6] =
        [Class::Asset, Class::Liability, Class::Equity, Class::Revenue, Class::Expense, Class::Memo];

    #[test]
    fn names_as_they_are_read() {
        let shown = |code, class| (journal(code), beancount(code, class));
        let pair = |journal: &str, beancount: &str| (journal.to_owned(), beancount.to_owned());
        for (code, class, expected) in [
            ("assets:bank", Class::Asset, pair("assets:bank", "Assets:Bank")),
            ("revenue:fx-realised", Class::Revenue, pair("revenue:fx-realised", "Revenue:Fx-realised")),
            ("assets", Class::Asset, pair("assets", "Assets:CODE:Assets")),
            ("assets:bank", Class::Liability, pair("assets:bank", "Liabilities:CODE:Assets:Bank")),
            ("1000-cash", Class::Asset, pair("1000-cash", "Assets:CODE:1000-cash")),
            ("memo:seats", Class::Memo, pair("memo:seats", "Equity:MEMO:Memo:Seats")),
            ("equity::-a:", Class::Equity, pair("equity:XX:-a:XX", "Equity:XX:XX-a:XX")),
        ] {
            assert_eq!(shown(code, class), expected);
        }
    }

    fn account() -> impl Strategy<Value = (String, Class)> {
        // Short codes of few letters collide if anything does.
        let component =
            prop_oneof!["[xc1-]{0,3}", Just("assets".to_owned()), Just("code".to_owned()), Just("xx".to_owned())];
        let code = proptest::collection::vec(component, 1..4).prop_map(|components| components.join(":"));
        let code = code.prop_filter("a code", |code| AccountCode::new(code).is_ok());
        (code, proptest::sample::select(CLASSES.as_slice()))
    }

    /// Beancount's own rule for account names.
    fn is_beancount(name: &str) -> bool {
        let mut components = name.split(':');
        components.next().is_some_and(|root| root.starts_with(|first: char| first.is_ascii_uppercase()))
            && name.contains(':')
            && components.all(|component| {
                component.starts_with(|first: char| first.is_ascii_uppercase() || first.is_ascii_digit())
                    && component.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn two_codes_never_share_a_name(one in account(), other in account()) {
            prop_assert!(is_beancount(&beancount(&one.0, one.1)));
            prop_assert!(journal(&one.0).split(':').all(|component| !component.is_empty()));
            if one.0 != other.0 {
                prop_assert_ne!(beancount(&one.0, one.1), beancount(&other.0, other.1));
                prop_assert_ne!(journal(&one.0), journal(&other.0));
            }
        }
    }
}
