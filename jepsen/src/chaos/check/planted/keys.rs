//! What is planted into honest answers to keys that were sent again.

use super::{Told, honest, posted};
use crate::chaos::check::replays::Events;
use crate::chaos::check::trial_balances::Disturbance;
use crate::chaos::check::{Judgement, Verdict, effects::FeedDecision, indefinite, replays};
use crate::chaos::history::{Detail, Item, Operation, Outcome, Phase, Record, Status};

/// An honest history in which a posted transfer was sent again to another node, later; the replay is the last record.
fn with_replay() -> Told {
    let mut told = honest();
    let mut again = posted(&mut told, 3).clone();
    (again.node, again.start, again.end) = (1, 9_000, 9_010);
    let answer = again.result.as_mut().unwrap();
    (answer.replayed, answer.index) = (true, told.last);
    told.history.push(again);
    told
}

fn verdict(history: &[Record]) -> Verdict {
    let node = |node| Disturbance { node, start: 8_000, end: 8_500 };
    let events = Events { leader_changes: vec![8_200], restarts: vec![node(1)], snapshots: vec![node(0)] };
    replays::check(history, &events)
}

fn last(told: &mut Told) -> &mut Outcome {
    told.history.last_mut().unwrap().result.as_mut().unwrap()
}

#[test]
fn an_honest_replay_passes_and_is_counted() {
    let told = with_replay();
    let verdict = verdict(&told.history);
    assert!(verdict.passed(), "{verdict:?}");
    let counted = |what: &str| verdict.counted.iter().find(|(name, _)| *name == what).unwrap().1;
    assert_eq!((counted("replays"), counted("on another node")), (1, 1));
    assert_eq!(counted("replays after a change of leader"), 1);
    assert_eq!((counted("after a restart of the node"), counted("after a snapshot on the node")), (1, 0));
}

#[test]
fn a_replay_that_says_something_else_is_found() {
    for plant in [
        (|answer: &mut Outcome| answer.position = answer.position.map(|position| position + 1)) as fn(&mut Outcome),
        |answer| answer.balances[0] += 1,
        |answer| answer.code = "overdraft".into(),
        // As if it were decided now.
        |answer| answer.replayed = false,
    ] {
        let mut told = with_replay();
        plant(last(&mut told));
        assert!(!verdict(&told.history).passed());
    }
}

#[test]
fn a_first_answer_after_a_replay_is_found() {
    let mut told = with_replay();
    last(&mut told).replayed = false;
    posted(&mut told, 3).result.as_mut().unwrap().replayed = true;
    assert!(!verdict(&told.history).passed());
}

#[test]
fn other_content_under_a_known_key_must_be_refused() {
    let reuse = |plant: fn(&mut Outcome)| {
        let mut told = honest();
        let mut other = posted(&mut told, 3).clone();
        let Operation::Transfer { from, to, amount } = other.operation else { panic!("a transfer") };
        other.operation = Operation::Reuse { from, to, amount: amount + 1 };
        (other.start, other.end) = (9_000, 9_010);
        let answer = other.result.as_mut().unwrap();
        let decided_at = Some(Box::new(Detail::DecidedAt(answer.position.unwrap())));
        *answer = Outcome {
            code: "idempotency_key_reused".into(),
            index: told.last,
            detail: decided_at,
            ..Outcome::default()
        };
        plant(answer);
        told.history.push(other);
        verdict(&told.history)
    };
    let honest = reuse(|_| {});
    assert!(honest.passed(), "{honest:?}");
    assert!(honest.counted.contains(&("refused for other content", 1)));
    assert!(!reuse(|answer| answer.code = "posted".into()).passed());
    assert!(!reuse(|answer| answer.position = Some(900)).passed());
    assert!(!reuse(|answer| answer.detail = Some(Box::new(Detail::DecidedAt(1)))).passed());
}

#[test]
fn one_key_twice_in_a_batch_is_one_decision() {
    let batch = |plant: fn(&mut Vec<Outcome>)| {
        let mut told = honest();
        let mut record = posted(&mut told, 3).clone();
        let Operation::Transfer { from, to, amount } = record.operation else { panic!("a transfer") };
        let answer = record.result.clone().unwrap();
        let again = Outcome { replayed: true, balances: vec![], ..answer.clone() };
        let mut results = vec![answer.clone(), again];
        plant(&mut results);
        let item = Item { key: Some("twice".to_owned()), from, to, amount };
        record.operation = Operation::Batch { atomic: false, items: vec![item.clone(), item] };
        record.key = None;
        record.result = Some(Outcome {
            code: "batch".into(),
            index: answer.index,
            detail: Some(Box::new(Detail::Items(results))),
            ..Outcome::default()
        });
        verdict(&[record])
    };
    let honest = batch(|_| {});
    assert!(honest.passed(), "{honest:?}");
    assert!(honest.counted.contains(&("keys twice in one batch", 1)));
    assert!(!batch(|results| results[1].replayed = false).passed());
    assert!(!batch(|results| results[1].position = Some(900)).passed());
}

/// A transfer without an answer that is sent again in the end, and the journal.
fn left_open(replayed: bool) -> (Vec<Record>, Vec<FeedDecision>) {
    let mut told = honest();
    let key = posted(&mut told, 3).key.clone();
    let mut again = posted(&mut told, 3).clone();
    let open = posted(&mut told, 3);
    (open.status, open.result) = (Status::Info, None);
    (again.phase, again.start, again.end) = (Phase::Final, 9_000, 9_010);
    again.result.as_mut().unwrap().replayed = replayed;
    assert!(told.feed.iter().any(|decision| decision.key == key));
    told.history.push(again);
    (told.history, told.feed)
}

#[test]
fn what_was_left_open_took_effect_once_or_when_it_was_sent_again() {
    for (replayed, counted) in [(true, "had taken effect when sent again"), (false, "decided only then")] {
        let (history, feed) = left_open(replayed);
        let verdict = indefinite::check(&history, &feed);
        assert!(verdict.passed(), "{verdict:?}");
        assert!(verdict.counted.contains(&(counted, 1)), "{verdict:?}");
    }
    // Twice, elsewhere, or not at all.
    let (history, mut feed) = left_open(true);
    let key = history.last().unwrap().key.clone();
    feed.push(FeedDecision { position: 900, key: key.clone(), accepted: true });
    assert!(!indefinite::check(&history, &feed).passed());
    let (history, mut feed) = left_open(true);
    feed.iter_mut().find(|decision| decision.key == key).unwrap().position = 900;
    assert!(!indefinite::check(&history, &feed).passed());
    let (history, mut feed) = left_open(false);
    feed.retain(|decision| decision.key != key);
    assert!(!indefinite::check(&history, &feed).passed());
    // Without an answer even then.
    let (mut history, feed) = left_open(true);
    let last = history.last_mut().unwrap();
    (last.status, last.result) = (Status::Info, None);
    assert!(matches!(indefinite::check(&history, &feed).result, Judgement::Unknown(_)));
}
