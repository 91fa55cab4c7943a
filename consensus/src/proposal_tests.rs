//! Commands that are kept beside their bytes, against those that are decoded.

use bytes::Bytes;
use partita_core::id::{AccountCode, Actor, BookId, CurrencyCode, Key, Party};
use partita_core::money::WrittenAmount;
use partita_core::operation::{AccountRef, Details, Operation, Transfer};
use partita_core::time::{Date, Timestamp};
use partita_storage::codec::{CommandHead, Level, Levels};

use crate::on_the_way::OnTheWay;
use crate::proposal::{Decoded, EncodedCommands, ProposalBytes, decode_proposal};
use crate::testing::command;

const AT: Timestamp = Timestamp(1_790_000_000_000_000_007);

fn transfer(number: u64) -> Operation {
    let account = |party: Option<String>| AccountRef {
        code: AccountCode::new("receivable").unwrap(),
        party: party.map(|party| Party::new(&party).unwrap()),
        item: None,
    };
    let details = Details {
        effective_date: (number % 3 == 0).then(|| Date::parse("2026-02-28").unwrap()),
        description: "ä".repeat(usize::try_from(number % 40).unwrap()),
        metadata: [("order".to_owned(), number.to_string())].into_iter().take(usize::from(number % 2 == 0)).collect(),
    };
    Operation::Transfer(Transfer {
        debit: account(Some(format!("customer-{number}"))),
        credit: account(None),
        amount: WrittenAmount::parse(&format!("{number}.50")).unwrap(),
        currency: CurrencyCode::new("USD").unwrap(),
        details,
    })
}

fn head() -> CommandHead {
    let today = Date::parse("2026-01-31").unwrap();
    CommandHead { book: BookId(7), today, actor: Actor::new("tests").unwrap() }
}

/// Commands of both ways in, in several pieces.
fn encoded(first: u64, last: u64) -> EncodedCommands {
    let mut commands = EncodedCommands::for_about(10);
    for number in first..=last {
        commands.push(&head(), Key::new(&format!("key-{number}")).unwrap(), transfer(number)).unwrap();
        commands.push_command(command(number)).unwrap();
    }
    commands
}

fn proposal(callers: Vec<(EncodedCommands, Level)>) -> ProposalBytes {
    let mut proposal = ProposalBytes::default();
    for (commands, level) in callers {
        for piece in commands.into_pieces() {
            assert!(proposal.has_room_for(&piece));
            proposal.push(piece, level, AT);
        }
    }
    proposal
}

#[test]
fn kept_commands_are_those_that_decoding_gives() {
    let level = Levels::OWN.newest();
    let (bytes, kept) = proposal(vec![(encoded(1, 700), level), (encoded(701, 703), level)]).finish();
    let kept = kept.expect("all of them are kept");
    assert_eq!(kept.pieces.concat().len(), 1_406);
    for active in [None, Some(level)] {
        let decoded = decode_proposal(&bytes, active, Levels::OWN).unwrap();
        let (pieces, level) = (kept.pieces.clone(), kept.level);
        let of_kept = Decoded::of_kept(crate::on_the_way::KeptCommands { pieces, level }, active).unwrap();
        assert!(of_kept.pieces.concat() == decoded.pieces.concat(), "with {active:?} before it");
        assert_eq!(of_kept.level, decoded.level, "with {active:?} before it");
    }
}

#[test]
fn a_command_that_splits_a_piece_is_kept_where_it_went() {
    let mut commands = EncodedCommands::for_about(1);
    for number in 0..200 {
        let Operation::Transfer(mut transfer) = transfer(number) else { panic!("it is one") };
        transfer.details.metadata = (0..20).map(|place| (format!("name-{place}"), "x".repeat(500))).collect();
        let key = Key::new(&format!("key-{number}")).unwrap();
        commands.push(&head(), key, Operation::Transfer(transfer)).unwrap();
    }
    let pieces = commands.into_pieces();
    assert!(pieces.len() > 1);
    for piece in pieces {
        let mut proposal = ProposalBytes::default();
        proposal.push(piece, Levels::OWN.newest(), AT);
        let (bytes, kept) = proposal.finish();
        let decoded = decode_proposal(&bytes, None, Levels::OWN).unwrap();
        assert!(kept.expect("it is kept").pieces.concat() == decoded.pieces.concat());
    }
}

#[test]
fn a_proposal_keeps_all_of_its_commands_or_none() {
    let (own, other) = (Levels::OWN.newest(), Levels::OWN.newest().next());
    assert!(proposal(vec![(encoded(1, 2), own), (encoded(3, 4), other)]).finish().1.is_none(), "two levels");
    for lacking in 0..3 {
        let mut callers = [encoded(1, 2), encoded(3, 4), encoded(5, 6)];
        callers[lacking].keep_bytes_only();
        assert!(proposal(callers.map(|commands| (commands, own)).into()).finish().1.is_none(), "{lacking} lacks");
    }
    assert!(ProposalBytes::default().finish().1.is_none());
}

#[test]
fn kept_commands_are_had_once_and_for_the_very_bytes_that_were_proposed() {
    let (bytes, kept) = proposal(vec![(encoded(1, 2), Levels::OWN.newest())]).finish();
    let on_the_way = OnTheWay::default();
    let proposed = Bytes::from(bytes);
    on_the_way.keep(proposed.clone(), kept.unwrap());
    assert!(on_the_way.take(&Bytes::copy_from_slice(&proposed)).is_none(), "equal bytes from elsewhere");
    assert!(on_the_way.take(&proposed.slice(1..)).is_none());
    assert_eq!(on_the_way.take(&proposed.clone()).unwrap().pieces.concat().len(), 4);
    assert!(on_the_way.take(&proposed).is_none());
}
