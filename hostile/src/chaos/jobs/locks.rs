//! Locks: one at a time, what they protect is whole, and every change is counted.

use super::{Done, wrong};
use crate::chaos::Violation;
use crate::chaos::ledger::{Common, Ledger, Own, SEATS, Tag};
use crate::chaos::post::{PATIENCE, Post};
use crate::chaos::world::{Counts, mixed};
use ipc_core::Segment;
use ipc_sync::{
    Condvar, LockError, Mutex, MutexGuard, OnceCell, OnceError, RwLock, RwLockError, WriteLockError,
};
use std::sync::atomic::Ordering::SeqCst;

/// What was found on entering.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Sound,
    OwnerDied,
}

/// Says that this worker is in; nobody else may be, but one that has died.
fn enter(post: &Post, room: Common, found: Found) -> Result<(), Violation> {
    let before = post.ledger.common(room).swap(post.me.to_word(), SeqCst);
    match Tag::from_word(before) {
        None => Ok(()),
        Some(dead) if found == Found::OwnerDied && post.ledger.is_doomed(dead) => Ok(()),
        Some(other) => {
            let what = format!("{other:?} is in as well, as {room:?} says");
            Err(Violation::new(what))
        }
    }
}

fn leave(post: &Post, room: Common) -> Result<(), Violation> {
    let before = post.ledger.common(room).swap(0, SeqCst);
    if Tag::from_word(before) == Some(post.me) {
        Ok(())
    } else {
        let what = format!("{before:#x} came in meanwhile, as {room:?} says");
        Err(Violation::new(what))
    }
}

type Locked<'a, T> = Option<(MutexGuard<'a, T>, Found)>;

fn locked<'a, T: ipc_core::Payload>(
    lock: Result<MutexGuard<'a, T>, LockError<'a, T>>,
) -> Result<Locked<'a, T>, Violation> {
    match lock {
        Ok(guard) => Ok(Some((guard, Found::Sound))),
        Err(LockError::OwnerDied(guard)) => Ok(Some((guard.repaired(), Found::OwnerDied))),
        Err(LockError::Held | LockError::TimedOut) => Ok(None),
        Err(error) => Err(wrong(error)),
    }
}

pub(crate) fn mutex(post: &mut Post) -> Done {
    let mutex = Mutex::<Counts>::open_in(&post.segment, "mutex").map_err(wrong)?;
    let mut done = 0;
    let seat = post.me.seat();
    for _ in 0..post.some() {
        let Some((mut guard, found)) = locked(mutex.lock_timeout(post.patience()))? else {
            continue;
        };
        enter(post, Common::InMutex, found)?;
        let was = post.ledger.own(seat, Own::Locked).load(SeqCst);
        let is = guard[seat];
        // The seat's last owner may have been killed between the two.
        let is_right = is == was || post.is_mutex_new && is == was + 1;
        if !is_right {
            let what = format!("seat {seat} has counted {was} times, and the mutex protects {is}");
            return Err(Violation::new(what));
        }
        post.is_mutex_new = false;
        post.linger();
        guard[seat] = is + 1;
        let counted = post.ledger.own(seat, Own::Locked);
        counted.store(is + 1, SeqCst);
        leave(post, Common::InMutex)?;
        drop(guard);
        done += 1;
    }
    Ok(done)
}

pub(crate) fn rwlock(post: &mut Post) -> Done {
    let lock = RwLock::<Counts>::open_in(&post.segment, "rwlock").map_err(wrong)?;
    let mut done = 0;
    let reading = post.me.seat();
    for _ in 0..post.some() {
        let patience = post.patience();
        if post.random.below(3) > 0 {
            let guard = match lock.read_timeout(patience) {
                Ok(guard) => guard,
                Err(RwLockError::Held | RwLockError::TimedOut | RwLockError::OwnerDied { .. }) => {
                    continue;
                }
                Err(error) => return Err(wrong(error)),
            };
            let own = post.ledger.own(reading, Own::Reading);
            own.store(post.me.to_word(), SeqCst);
            if guard.iter().any(|it| *it != guard[0]) {
                return Err(Violation::new(format!(
                    "half a change was read: {:?}",
                    *guard
                )));
            }
            post.linger();
            post.ledger.own(reading, Own::Reading).store(0, SeqCst);
            drop(guard);
        } else {
            let (mut guard, found) = match lock.write_timeout(patience) {
                Ok(guard) => (guard, Found::Sound),
                Err(WriteLockError::OwnerDied(mut guard)) => {
                    let most = guard.iter().copied().max().unwrap_or_default();
                    guard.fill(most);
                    (guard.repaired(), Found::OwnerDied)
                }
                Err(WriteLockError::Refused(RwLockError::Held | RwLockError::TimedOut)) => continue,
                Err(error) => return Err(wrong(error)),
            };
            enter(post, Common::Writing, found)?;
            for seat in 0..SEATS {
                let reader = post.ledger.own(seat, Own::Reading).load(SeqCst);
                if let Some(reader) = Tag::from_word(reader)
                    && !post.ledger.is_doomed(reader)
                {
                    let what = format!("{reader:?} reads while {:?} writes", post.me);
                    return Err(Violation::new(what));
                }
            }
            let next = guard[0] + 1;
            for at in 0..guard.len() {
                guard[at] = next;
                if at == 3 {
                    post.linger();
                }
            }
            leave(post, Common::Writing)?;
            drop(guard);
        }
        done += 1;
    }
    Ok(done)
}

pub(crate) fn condvar(post: &mut Post) -> Done {
    let condvar = Condvar::open_in(&post.segment, "condvar").map_err(wrong)?;
    let stock = Mutex::<[u64; 2]>::open_in(&post.segment, "stock").map_err(wrong)?;
    let mut done = 0;
    for _ in 0..post.some().min(8) {
        let Some((mut guard, _)) = locked(stock.lock_timeout(PATIENCE))? else {
            continue;
        };
        if post.random.once_in(2) {
            post.ledger.add(Common::Made, 1);
            guard[0] += 1;
            post.ledger.add(Common::MadeDone, 1);
            drop(guard);
            condvar.notify_one().map_err(wrong)?;
        } else {
            let waited = condvar.wait_timeout_while(guard, PATIENCE, |[made, taken]| made == taken);
            let Some((mut guard, _)) = locked(waited.map(|(guard, _)| guard))? else {
                continue;
            };
            if guard[0] == guard[1] {
                continue;
            }
            post.ledger.add(Common::Taken, 1);
            guard[1] += 1;
            post.ledger.add(Common::TakenDone, 1);
            let [made, taken] = *guard;
            if taken > made {
                return Err(Violation::new(format!("{taken} taken of {made}")));
            }
        }
        done += 1;
    }
    Ok(done)
}

/// With nobody there: whether every change that is certain has happened, and none that nobody began.
pub(crate) fn check(segment: &Segment, ledger: &Ledger) -> Result<(), Violation> {
    let mutex = Mutex::<Counts>::open_in(segment, "mutex").map_err(wrong)?;
    let counts = mutex.repair(|counts| *counts).map_err(wrong)?;
    // Whoever died in there has been cleared away.
    ledger.common(Common::InMutex).store(0, SeqCst);
    for (seat, &is) in counts.iter().enumerate().take(SEATS) {
        let was = ledger.own(seat, Own::Locked).load(SeqCst);
        if is != was && is != was + 1 {
            let what = format!("seat {seat} has counted {was} times, and the mutex protects {is}");
            return Err(Violation::new(what));
        }
    }
    let stock = Mutex::<[u64; 2]>::open_in(segment, "stock").map_err(wrong)?;
    let [made, taken] = stock.repair(|stock| *stock).map_err(wrong)?;
    for (what, is, certain, begun) in [
        ("made", made, Common::MadeDone, Common::Made),
        ("taken", taken, Common::TakenDone, Common::Taken),
    ] {
        let (certain, begun) = (ledger.get(certain), ledger.get(begun));
        if !(certain..=begun).contains(&is) {
            let what = format!("condvar: {is} {what}, and not between {certain} and {begun}");
            return Err(Violation::new(what));
        }
    }
    Ok(())
}

pub(crate) fn once(post: &mut Post) -> Done {
    let epoch = post.epoch();
    let name = format!("cell {epoch}");
    let cell = match OnceCell::<[u64; 3]>::open_in(&post.segment, &name) {
        Err(ipc_core::Error::ObjectNotFound { .. }) => {
            match OnceCell::create_in(&post.segment, &name) {
                Err(ipc_core::Error::ObjectExists { .. }) => {
                    OnceCell::open_in(&post.segment, &name)
                }
                created => created,
            }
        }
        opened => opened,
    }
    .map_err(wrong)?;
    let mine = post.random.word() | 1;
    let value = || {
        post.linger();
        [mine, mixed(mine), epoch]
    };
    let given = match cell.get_or_init_timeout(PATIENCE, value) {
        Ok(given) => given,
        Err(OnceError::TimedOut) => return Ok(0),
        Err(error) => return Err(wrong(error)),
    };
    let [number, ..] = given;
    let before = post.ledger.common(Common::Cell);
    let seen = before.compare_exchange(0, number, SeqCst, SeqCst);
    let is_same = seen.map_or_else(|seen| seen == number, |_| true);
    if given != [number, mixed(number), epoch] || !is_same {
        let what = format!("the cell gave {given:x?}, and before {seen:x?}");
        return Err(Violation::new(what));
    }
    Ok(1)
}
