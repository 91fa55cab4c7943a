//! Each answer is the one decision of the caller's own key, or points to it.

use partita_core::decision::{Answer, Command, Origin};
use partita_core::id::Position;

use crate::model::periods::known_decision;
use crate::oracle::Oracle;

pub(crate) const NAME: &str = "answers from the journal";

/// The answer to one command; returns where it was decided.
pub(crate) fn check_answer(oracle: &Oracle, command: &Command, answer: &Answer) -> Result<Position, String> {
    let key = &command.key;
    let Some(position) = oracle.position_of(command.book, key) else {
        return Err(format!("key {key} was answered with {answer:?}, and nobody committed it"));
    };
    let kept = oracle.model.keys.get(&(command.book, key.clone())).map(|(operation, _)| operation);
    match answer {
        Answer::Decided(decision) => {
            let own = matches!(&decision.origin, Origin::Request { key: of, .. } if of == key);
            if !own || decision.position != position {
                return Err(format!("key {key}, decided at {position}, got the answer {decision:?}"));
            }
            if oracle.decision(position) != Some(&known_decision(decision)) {
                return Err(format!("key {key} got another answer than the journal has: {decision:?}"));
            }
        }
        Answer::Replayed { position: at } if *at == position && kept == Some(&command.operation) => {}
        Answer::KeyReused { position: at } if *at == position && kept != Some(&command.operation) => {}
        Answer::Replayed { .. } | Answer::KeyReused { .. } => {
            return Err(format!("key {key}, decided at {position}, got the answer {answer:?}"));
        }
    }
    Ok(position)
}

/// The answers to commands that were sent together: what was decided then was decided in their order.
pub(crate) fn check_order(answers: &[Answer]) -> Result<(), String> {
    let mut last = None;
    for answer in answers {
        let Answer::Decided(decision) = answer else { continue };
        if last >= Some(decision.position) {
            return Err(format!(
                "commands sent together were decided out of their order: {last:?} before {decision:?}"
            ));
        }
        last = Some(decision.position);
    }
    Ok(())
}
