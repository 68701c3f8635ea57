//! Every sequence of events, by way of every state there is.

use std::collections::HashMap;

use fusebox::{Breaker, TripRule};

use crate::world::{Event, Limits, TRIALS, World};

/// How far a search went.
pub struct Searched {
    /// Sequences of up to the depth.
    pub sequences: u128,
    pub states: usize,
    /// Whether there are no other states, however long the sequence.
    pub complete: bool,
}

/// States, a way to each of them, and where each event leads.
#[derive(Default)]
struct Graph {
    known: HashMap<String, usize>,
    paths: Vec<Vec<Event>>,
    next: Vec<Vec<usize>>,
}

impl Graph {
    fn id(&mut self, key: String, path: impl FnOnce() -> Vec<Event>) -> (usize, bool) {
        let new = self.known.len();
        let id = *self.known.entry(key).or_insert(new);
        if id == new {
            self.paths.push(path());
        }
        (id, id == new)
    }

    /// All sequences of up to `depth`, each counted once.
    fn sequences(&self, depth: usize) -> u128 {
        let mut ways = vec![0_u128; self.paths.len()];
        ways[0] = 1;
        let mut sequences = 0;
        for _ in 0..depth {
            let mut after = vec![0_u128; self.paths.len()];
            for (from, next) in self.next.iter().enumerate().filter(|(from, _)| ways[*from] > 0) {
                for to in next {
                    after[*to] += ways[from];
                }
            }
            ways = after;
            sequences += ways.iter().sum::<u128>();
        }
        sequences
    }
}

/// Tries every one of `events` in every state that up to `depth` of them can lead to.
pub fn search<R: TripRule>(breaker: &Breaker<R, TRIALS>, limits: Limits, events: &[Event], depth: usize) -> Searched {
    let mut graph = Graph::default();
    let first = World::new(breaker, limits);
    first.check();
    graph.id(first.key(), Vec::new);
    let mut at = 0;
    // States are found in the order of their distance.
    while at < graph.paths.len() && graph.paths[at].len() < depth {
        let path = graph.paths[at].clone();
        let mut next = vec![];
        for event in events {
            // Permits cannot be copied, so each step starts over.
            let mut world = World::new(breaker, limits);
            assert!(path.iter().all(|event| world.step(*event)));
            if !world.step(*event) {
                continue;
            }
            let (id, is_new) = graph.id(world.key(), || path.iter().copied().chain([*event]).collect());
            if is_new {
                world.check();
            }
            next.push(id);
        }
        graph.next.push(next);
        at += 1;
    }
    Searched { sequences: graph.sequences(depth), states: graph.paths.len(), complete: at == graph.paths.len() }
}
