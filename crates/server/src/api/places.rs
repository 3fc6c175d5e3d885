//! Places of which there are so many for all, and so many for each person, so that nobody takes all of them. Whoever is on
//! this machine has places of their own: what happens elsewhere does not keep them out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many places each person has.
type Taken = Mutex<BTreeMap<String, usize>>;

/// Places, for those elsewhere and for those on this machine.
pub(super) struct Places {
    elsewhere: Arc<Semaphore>,
    here: Arc<Semaphore>,
    each: usize,
    taken: Arc<Taken>,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _share: Option<Share>,
}

/// One of the places of a person.
#[derive(Debug)]
struct Share {
    who: String,
    taken: Arc<Taken>,
}

impl Places {
    /// `most` for those elsewhere, of which a person has `each` at most, and `most` for this machine.
    pub(super) fn new(most: usize, each: usize) -> Self {
        let [elsewhere, here] = [(); 2].map(|()| Arc::new(Semaphore::new(most)));
        Self { elsewhere, here, each, taken: Arc::default() }
    }

    /// One for `who`; `None` stands for somebody on this machine. There may be none.
    pub(super) fn take(&self, who: Option<&str>) -> Option<Place> {
        let Some(who) = who else {
            return Some(Place { _place: Arc::clone(&self.here).try_acquire_owned().ok()?, _share: None });
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(who).copied().unwrap_or_default();
        if count >= self.each {
            return None;
        }
        let place = Arc::clone(&self.elsewhere).try_acquire_owned().ok()?;
        taken.insert(who.to_owned(), count + 1);
        let share = Share { who: who.to_owned(), taken: Arc::clone(&self.taken) };
        Some(Place { _place: place, _share: Some(share) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.who) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.who)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_others() {
        let places = Places::new(3, 2);
        let one = [places.take(Some("one")), places.take(Some("one"))];
        assert!(one.iter().all(Option::is_some) && places.take(Some("one")).is_none());
        let other = places.take(Some("other")).unwrap();
        assert!(places.take(Some("third")).is_none(), "there are no more elsewhere");
        let here: Vec<_> = (0..3).map(|_| places.take(None)).collect();
        assert!(here.iter().all(Option::is_some) && places.take(None).is_none());
        drop((one, other));
        assert!(places.taken.lock().unwrap().is_empty());
        assert!(places.take(Some("one")).is_some() && places.take(None).is_none());
    }
}
