//! Ways between nodes cut, slowed down and broken.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::seq::SliceRandom as _;

use super::{FaultState, Strike, Struck, skipped};
use crate::HarnessError;

pub(super) const NO_CUTS: &str = "the ways between these nodes cannot be cut";
const NO_PROXIES: &str = "ways are slow or break only where nodes have proxies between them (--hosts proxies)";

type Ways = Vec<(usize, usize)>;

impl Strike<'_> {
    pub(super) async fn isolate_leader(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        self.struck.push(leader);
        let ways = between(&[leader], self.cluster.size());
        let hold = self.draw(2_000..6_000);
        self.cut_for(&ways, hold).await
    }

    pub(super) async fn halves(&mut self) -> Struck {
        let size = self.cluster.size();
        let mut nodes: Vec<usize> = (0..size).collect();
        nodes.shuffle(self.random);
        nodes.truncate(size / 2);
        self.struck.clone_from(&nodes);
        let hold = self.draw(2_000..6_000);
        self.cut_for(&between(&nodes, size), hold).await
    }

    pub(super) async fn one_way(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        self.struck.push(leader);
        let others = (0..self.cluster.size()).filter(|&node| node != leader);
        let ways: Ways = others.map(|node| (leader, node)).collect();
        let hold = self.draw(2_000..6_000);
        self.cut_for(&ways, hold).await
    }

    pub(super) async fn ring(&mut self) -> Struck {
        let size = self.cluster.size();
        self.struck.extend(0..size);
        let (turn, hold) = (self.any(), self.draw(2_000..6_000));
        self.cut_for(&beyond_the_ring(size, turn), hold).await
    }

    pub(super) async fn flapping(&mut self) -> Struck {
        let leader = self.cluster.wait_for_leader().await?;
        self.struck.push(leader);
        let ways = between(&[leader], self.cluster.size());
        for _ in 0..5 {
            let hold = self.draw(50..500);
            let state = self.cut_for(&ways, hold).await?;
            if state != FaultState::Installed {
                return Ok(state);
            }
            self.hold(50..300).await;
        }
        Ok(FaultState::Installed)
    }

    /// Cuts ways for a while. They are joined again whatever happens.
    async fn cut_for(&mut self, ways: &[(usize, usize)], hold: Duration) -> Struck {
        let state = self.cut(ways)?;
        if state == FaultState::Installed {
            tokio::time::sleep(hold).await;
            self.join(ways)?;
        }
        Ok(state)
    }

    /// Cuts all of these ways, or none.
    pub(super) fn cut(&mut self, ways: &[(usize, usize)]) -> Struck {
        for (number, &(from, to)) in ways.iter().enumerate() {
            match self.cluster.hosts().cut(from, to) {
                Ok(true) => {}
                Ok(false) => return skipped(NO_CUTS),
                Err(error) => {
                    self.join(&ways[..number])?;
                    return Err(error);
                }
            }
        }
        Ok(FaultState::Installed)
    }

    pub(super) fn join(&mut self, ways: &[(usize, usize)]) -> Result<(), HarnessError> {
        let mut outcome = Ok(());
        for &(from, to) in ways {
            if let Err(error) = self.cluster.hosts().join(from, to) {
                outcome = Err(error);
            }
        }
        outcome
    }

    pub(super) async fn slow_ways(&mut self) -> Struck {
        let size = self.cluster.size();
        self.struck.extend(0..size);
        let most = self.random.random_range(20..250);
        let mut installed = true;
        for (from, to) in all_ways(size) {
            installed &= self.cluster.hosts().delay(from, to, Some(0..most));
        }
        if !installed {
            return skipped(NO_PROXIES);
        }
        self.note(format!("up to {most} ms for each piece"));
        self.hold(3_000..6_000).await;
        for (from, to) in all_ways(size) {
            self.cluster.hosts().delay(from, to, None);
        }
        Ok(FaultState::Installed)
    }

    pub(super) async fn resets(&mut self) -> Struck {
        let size = self.cluster.size();
        self.struck.extend(0..size);
        let ways = all_ways(size);
        let end = Instant::now() + self.draw(2_000..4_000);
        let mut resets = 0;
        while Instant::now() < end {
            let (from, to) = ways[self.random.random_range(0..ways.len())];
            if !self.cluster.hosts().reset(from, to) {
                return skipped(NO_PROXIES);
            }
            resets += 1;
            self.hold(20..200).await;
        }
        self.note(format!("{resets} times"));
        Ok(FaultState::Installed)
    }
}

fn all_ways(size: usize) -> Ways {
    (0..size).flat_map(|from| (0..size).filter(move |to| *to != from).map(move |to| (from, to))).collect()
}

/// All ways between some nodes and the others, both directions.
pub(super) fn between(nodes: &[usize], size: usize) -> Ways {
    let others = (0..size).filter(|node| !nodes.contains(node));
    others.flat_map(|other| nodes.iter().flat_map(move |&node| [(node, other), (other, node)])).collect()
}

/// All ways between nodes that are not neighbours in a ring that is turned by `turn`.
fn beyond_the_ring(size: usize, turn: usize) -> Ways {
    let mut ways = BTreeSet::new();
    for one in 0..size {
        for other in 0..size {
            let apart = (size + other - one) % size;
            let neighbours = size > 3 && (apart == 1 || apart == size - 1);
            // In a ring of three all are neighbours: there one of them stands between the two others.
            let in_between = size <= 3 && (one == turn || other == turn);
            if one != other && !neighbours && !in_between {
                ways.insert((one, other));
            }
        }
    }
    ways.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_those_that_the_names_say() {
        assert_eq!(between(&[1], 3), [(1, 0), (0, 1), (1, 2), (2, 1)]);
        assert_eq!(beyond_the_ring(3, 1), [(0, 2), (2, 0)]);
        let ring = beyond_the_ring(5, 0);
        assert_eq!(ring.len(), 10);
        assert!(ring.contains(&(0, 2)) && ring.contains(&(0, 3)) && !ring.contains(&(0, 4)) && !ring.contains(&(0, 1)));
        assert_eq!(all_ways(3).len(), 6);
    }
}
