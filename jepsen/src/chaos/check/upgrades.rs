//! A rolling upgrade under load: the level rises with the last node, and the older program does not start any more.

use super::{Anomalies, Judgement, Verdict, count};
use crate::chaos::upgrade::Upgrade;

/// `upgrade` is what came of it, or why there was none; `nodes` how many there are.
#[must_use]
pub fn check(upgrade: &Result<Upgrade, String>, nodes: usize) -> Verdict {
    let claim = "nodes are replaced by the next version one after the other while writes are decided; the level rises \
                 when the last one has it, and the older program refuses to start then";
    let checker = "upgrade";
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(why) => {
            return Verdict { checker, claim, result: Judgement::Unknown(why.clone()), counted: vec![] };
        }
    };
    let mut anomalies = Anomalies::default();
    let replaced = &upgrade.steps[..upgrade.steps.len().min(nodes)];
    if replaced.len() < nodes {
        anomalies.add(|| format!("{} of {nodes} nodes were replaced", replaced.len()));
    }
    let first = replaced.first().map_or(0, |step| step.level);
    for step in replaced {
        if step.level != first {
            anomalies.add(|| format!("the level was {} already before node {} had it", step.level, step.node + 1));
        }
        if step.decided == 0 {
            anomalies.add(|| format!("nothing was decided while node {} was away", step.node + 1));
        }
    }
    if upgrade.level != first + 1 {
        anomalies
            .add(|| format!("the level is {} when all nodes have the newer program, {first} before", upgrade.level));
    }
    let expected = format!("replicated level {} is unknown", first + 1);
    if !upgrade.refusal.contains(&expected) {
        anomalies.add(|| format!("the older program did not say that {expected}: {}", upgrade.refusal));
    }
    let counted = vec![
        ("nodes replaced", count(replaced.len())),
        ("decided while one was away", replaced.iter().map(|step| step.decided).sum()),
        ("level", upgrade.level),
    ];
    Verdict { checker, claim, result: anomalies.judge(), counted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::upgrade::Step;

    fn passes(plant: impl FnOnce(&mut Upgrade)) -> bool {
        let step = |node| Step { node, start: 0, end: 1, level: 1, decided: 70 };
        let refusal = "error: replicated level 2 is unknown: this program knows level 1".to_owned();
        let mut upgrade = Upgrade { steps: (0..3).map(step).collect(), level: 2, refusal };
        plant(&mut upgrade);
        check(&Ok(upgrade), 3).passed()
    }

    #[test]
    fn an_honest_upgrade_passes_and_what_is_planted_is_found() {
        assert!(passes(|_| {}));
        assert!(!passes(|upgrade| upgrade.level = 1));
        assert!(!passes(|upgrade| upgrade.steps[2].level = 2));
        assert!(!passes(|upgrade| upgrade.steps[1].decided = 0));
        assert!(!passes(|upgrade| upgrade.steps.truncate(2)));
        assert!(!passes(|upgrade| upgrade.refusal = "ready".to_owned()));
        assert!(matches!(check(&Err("no program".to_owned()), 3).result, Judgement::Unknown(_)));
    }
}
