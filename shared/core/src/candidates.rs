//! Which slots, and which waiting jobs, are worth a claim.
//!
//! A free slot has no record, so a short range of the pool's slots, read from a random place on, shows the free
//! ones as gaps: the same small cost for a pool of ten slots and of five thousand, and nothing that could drift.
//! The claim itself is conditional, so a candidate may be stale; it then only costs a second try.

use std::num::NonZeroU16;

use crate::ids::SlotIndex;

/// The gaps in a part of a pool's slots: `taken` are the taken slots from `start` on, in order, at most `limit` of
/// them. Where there were fewer than `limit` the range reached to the pool's end.
pub fn gaps(start: SlotIndex, taken: &[SlotIndex], limit: usize, max_runners: NonZeroU16) -> Vec<SlotIndex> {
    let whole = taken.len() < limit;
    let end = match taken.last() {
        Some(last) if !whole => last.0.saturating_add(1).min(max_runners.get()),
        _ => max_runners.get(),
    };
    (start.0..end).map(SlotIndex).filter(|index| taken.binary_search(index).is_err()).collect()
}

/// Where a look at `size` of a pool's slots begins: anywhere, but so that they are all there.
pub fn start(size: u16, max_runners: NonZeroU16, random: u64) -> SlotIndex {
    let last = max_runners.get().saturating_sub(size);
    // Below 2^16, as the divisor is.
    SlotIndex(u16::try_from(random % (u64::from(last) + 1)).unwrap_or_default())
}

/// So many of these, any of them, in any order: `random` gives random bits. Who claims free slots so leaves no long row of taken
/// ones behind, in which the next look would find nothing; those who take waiting jobs at the same moment want the same less often.
pub fn scattered<T>(mut from: Vec<T>, most: usize, mut random: impl FnMut() -> u64) -> Vec<T> {
    for at in 0..most.min(from.len()) {
        let left = (from.len() - at) as u64;
        from.swap(at, at + usize::try_from(random() % left).unwrap_or_default());
    }
    from.truncate(most);
    from
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_reaches_to_the_end_of_the_pool_or_to_the_last_slot_that_was_read() {
        let found = |taken: &[u16]| {
            let taken: Vec<SlotIndex> = taken.iter().copied().map(SlotIndex).collect();
            let found = gaps(SlotIndex(2), &taken, 3, NonZeroU16::new(8).unwrap());
            found.into_iter().map(|index| index.0).collect::<Vec<_>>()
        };
        assert_eq!(found(&[]), [2, 3, 4, 5, 6, 7]);
        assert_eq!(found(&[3, 5]), [2, 4, 6, 7], "no more are taken");
        assert_eq!(found(&[2, 4, 6]), [3, 5], "whether 7 is taken was not read");
        assert_eq!(found(&[3, 5, 9]), [2, 4, 6, 7], "one is beyond a lowered limit");
    }

    #[test]
    fn any_of_the_free_slots_are_kept_each_once() {
        let free: Vec<SlotIndex> = (0..1_000).map(SlotIndex).collect();
        let mut random = 0u64;
        let mut some = scattered(free, 64, || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 33
        });
        some.sort_unstable();
        some.dedup();
        assert_eq!(some.len(), 64);
        let beside = some.windows(2).filter(|pair| pair[1].0 == pair[0].0 + 1).count();
        assert!(beside < 16, "they are in rows: {some:?}");
        assert!(
            some.first().is_some_and(|first| first.0 < 100) && some.last().is_some_and(|last| last.0 > 900)
        );
    }

    proptest! {
        #[test]
        fn a_look_is_never_cut_short_by_the_end_of_the_pool(max in 1u16.., size: u16, random: u64) {
            let start = start(size, NonZeroU16::new(max).unwrap(), random);
            prop_assert!(start.0 == 0 || start.0 <= max - size);
        }

        #[test]
        fn what_is_kept_was_free(most in 0usize..70, free in proptest::collection::btree_set(0u16..200, 0..100), bits: u64) {
            let free: Vec<SlotIndex> = free.into_iter().map(SlotIndex).collect();
            let mut kept = scattered(free.clone(), most, || bits);
            kept.sort_unstable();
            kept.dedup();
            prop_assert_eq!(kept.len(), most.min(free.len()));
            prop_assert!(kept.iter().all(|index| free.contains(index)));
        }

        #[test]
        fn a_candidate_is_free_and_every_free_slot_in_the_range_is_one(
            max in 1u16..200, taken in proptest::collection::btree_set(0u16..200, 0..200), start: u16, limit in 1usize..30,
        ) {
            let max = NonZeroU16::new(max).unwrap();
            let start = start % max;
            let seen: Vec<SlotIndex> = taken.iter().copied().filter(|index| *index >= start).take(limit).map(SlotIndex).collect();
            let found = gaps(SlotIndex(start), &seen, limit, max);
            for index in &found {
                prop_assert!(!taken.contains(&index.0) && index.0 < max.get() && index.0 >= start);
            }
            let end = if seen.len() < limit { max.get() } else { seen.last().unwrap().0.min(max.get()) };
            let free = (start..end).filter(|index| !taken.contains(index)).count();
            prop_assert_eq!(found.len(), free);
        }
    }
}
