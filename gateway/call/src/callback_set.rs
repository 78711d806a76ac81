//! A set of positions in the chain. It fits into one word for chains of usual length.

use smallvec::SmallVec;

const WORD: usize = u64::BITS as usize;

/// Positions in the chain.
#[derive(Clone, Debug, Default)]
pub struct CallbackSet(SmallVec<[u64; 1]>);

impl CallbackSet {
    pub fn has(&self, place: usize) -> bool {
        self.0.get(place / WORD).is_some_and(|word| word >> (place % WORD) & 1 == 1)
    }

    pub fn add(&mut self, place: usize) {
        if self.0.len() <= place / WORD {
            self.0.resize(place / WORD + 1, 0);
        }
        self.0[place / WORD] |= 1 << (place % WORD);
    }

    /// Removes a position; returns whether it was there.
    pub fn remove(&mut self, place: usize) -> bool {
        let was = self.has(place);
        if was {
            self.0[place / WORD] &= !(1 << (place % WORD));
        }
        was
    }
}

#[cfg(test)]
mod tests {
    use super::CallbackSet;

    #[test]
    fn a_place_is_in_it_once_added_however_long_the_chain() {
        let mut places = CallbackSet::default();
        let added = [0, 63, 64, 200];
        added.into_iter().for_each(|place| places.add(place));
        for place in 0..300 {
            assert_eq!(places.has(place), added.contains(&place), "{place}");
            assert_eq!(places.remove(place), added.contains(&place), "{place}");
            assert!(!places.has(place), "{place}");
        }
    }
}
