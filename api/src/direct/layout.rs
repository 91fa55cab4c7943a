//! What stands between the values of an object whose members are plain strings.
//!
//! A program writes all items of a batch in one layout. Once that is known, the next item is read by comparing with it
//! instead of looking for names; an item that differs anywhere is read name by name again.

use super::scan::Scanner;

/// Of objects with some of `N` members, known by their places in a list of names.
#[derive(Debug)]
pub(super) struct Layout<'a, const N: usize> {
    /// In the order of the object: which member, and what stands from the end of the value before up to its own.
    members: Vec<(usize, &'a str)>,
    /// Behind the last value.
    end: &'a str,
}

/// The layout that the next item is thought to have.
#[derive(Debug)]
pub(super) enum Expected<'a, const N: usize> {
    Nothing,
    Layout(Layout<'a, N>),
    /// Items of this batch are not made of plain strings alone.
    NoLayout,
}

/// The values of an object, by their names' places.
type Values<'a, const N: usize> = [Option<&'a str>; N];

impl<'a, const N: usize> Expected<'a, N> {
    /// Reads an object of plain strings. Where it is not one the scanner stays where it is, and another way is to be
    /// tried.
    pub(super) fn read(&mut self, scanner: &mut Scanner<'a>, names: &[&str; N]) -> Option<Values<'a, N>> {
        match self {
            Self::NoLayout => return None,
            Self::Layout(layout) => {
                if let Some(values) = layout.read(scanner) {
                    return Some(values);
                }
            }
            Self::Nothing => {}
        }
        let start = scanner.place();
        match Layout::learn(scanner, names) {
            Some((layout, values)) => {
                *self = Self::Layout(layout);
                Some(values)
            }
            None => {
                *self = Self::NoLayout;
                scanner.go_back(start);
                None
            }
        }
    }
}

impl<'a, const N: usize> Layout<'a, N> {
    /// Reads name by name, and remembers what stands between the values.
    fn learn(scanner: &mut Scanner<'a>, names: &[&str; N]) -> Option<(Self, Values<'a, N>)> {
        let mut values = [None; N];
        let mut members = Vec::with_capacity(N);
        let mut value_end = scanner.place();
        scanner.object(|scanner, name| {
            let index = names.iter().position(|known| *known == name).filter(|index| values[*index].is_none())?;
            let between = scanner.up_to_quote(value_end)?;
            values[index] = Some(scanner.text()?);
            value_end = scanner.place();
            members.push((index, between));
            Some(())
        })?;
        Some((Self { members, end: scanner.since(value_end)? }, values))
    }

    fn read(&self, scanner: &mut Scanner<'a>) -> Option<Values<'a, N>> {
        let start = scanner.place();
        let values = self.compare(scanner);
        if values.is_none() {
            scanner.go_back(start);
        }
        values
    }

    fn compare(&self, scanner: &mut Scanner<'a>) -> Option<Values<'a, N>> {
        let mut values = [None; N];
        for (index, between) in &self.members {
            scanner.literal(between)?;
            values[*index] = Some(scanner.rest_of_text()?);
        }
        scanner.literal(self.end)?;
        Some(values)
    }
}
