//! What [`Value`](crate::Value) and [`Array`](crate::Array) have in common: elements that are read
//! without waiting and changed in one step.

use crate::value::large::{Large, Shape, Unwritten};
use crate::value::small::Small;
use crate::waiting::Waiting;
use ipc_core::{
    Deadline, Departed, Error, Kind, Object, ObjectSpec, Owner, Payload, Result, Segment, TypeTag,
    Wait,
};

/// Why an element was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// As many others are writing at this moment as there is room for.
    #[error("as many others are writing as there is room for; try again, or wait")]
    Busy,
    /// As many others were writing until the time was up. Are they stopped?
    #[error("as many others were writing as there is room for until the time was up")]
    TimedOut,
    /// The segment cannot be used, or there is no such element.
    #[error(transparent)]
    Segment(#[from] Error),
}

/// The elements of an object, by one opening of it.
#[derive(Debug)]
pub(crate) struct Elements<T: Payload> {
    object: Object,
    len: usize,
    store: Store<T>,
}

#[derive(Debug)]
enum Store<T: Payload> {
    Small(Small<T>),
    Large(Box<Large<T>>, Owner),
}

/// The sweep of both kinds.
pub(crate) fn sweep(object: &Object, departed: &Departed<'_>) -> Result<()> {
    // Elements of up to eight bytes are owned by nobody.
    if object.info().config[1] == 0 {
        return Ok(());
    }
    Shape::from_object(object)?.sweep(object, departed)
}

impl<T: Payload> Elements<T> {
    /// Bytes that so many take; `None` beyond the address space.
    pub(crate) fn bytes(len: usize) -> Option<usize> {
        if Small::<T>::FITS {
            Small::<T>::bytes(len)
        } else {
            Shape::of::<T>(len).bytes()
        }
    }

    pub(crate) fn create(
        segment: &Segment,
        name: &str,
        kind: &'static Kind,
        len: usize,
        value: impl Fn(usize) -> T,
    ) -> Result<Self> {
        let stride = match Small::<T>::FITS {
            true => 0,
            false => Shape::of::<T>(len).stride(),
        };
        let spec = ObjectSpec {
            kind,
            element: TypeTag::of::<T>(),
            config: [len as u64, stride as u64, 0, 0],
            // What is beyond the address space is refused by the segment.
            len: Self::bytes(len).unwrap_or(usize::MAX) as u64,
        };
        let object = segment.create_object(name, &spec, |object| {
            if Small::<T>::FITS {
                let small = Small::of(object, 0, len)?;
                (0..len).for_each(|at| small.set(at, &value(at)));
            } else {
                let shape = Shape::from_object(object)?;
                shape.initialise(object)?;
                let large = Large::of(object, shape)?;
                (0..len).for_each(|at| large.write_first(at, &value(at)));
            }
            Ok(())
        })?;
        Self::new(object)
    }

    pub(crate) fn open(segment: &Segment, name: &str, kind: &'static Kind) -> Result<Self> {
        Self::new(segment.open_object(name, kind, &TypeTag::of::<T>())?)
    }

    fn new(object: Object) -> Result<Self> {
        let len = usize::try_from(object.info().config[0])
            .map_err(|_| object.corrupted("its length is impossible"))?;
        let store = if Small::<T>::FITS {
            Store::Small(Small::of(&object, 0, len)?)
        } else {
            let shape = Shape::from_object(&object)?;
            let large = Large::of(&object, shape)?;
            Store::Large(Box::new(large), object.segment().owner()?)
        };
        Ok(Self { object, len, store })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn check(&self, at: usize) -> Result<()> {
        self.object.segment().attachment().check_fork()?;
        if at < self.len {
            Ok(())
        } else {
            Err(self.outside(at))
        }
    }

    #[cold]
    fn outside(&self, at: usize) -> Error {
        Error::OutOfRange {
            what: "the index of an element",
            asked: at as u128,
            least: 0,
            most: self.len.saturating_sub(1) as u128,
        }
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Result<T> {
        self.check(at)?;
        match &self.store {
            Store::Small(small) => Ok(small.get(at)),
            Store::Large(large, _) => large.get(at, &self.object),
        }
    }

    #[inline]
    pub(crate) fn set(
        &self,
        at: usize,
        value: &T,
        wait: Wait,
        deadline: impl Fn() -> Deadline,
    ) -> Result<(), WriteError> {
        self.check(at)?;
        match &self.store {
            Store::Small(small) => {
                small.set(at, value);
                Ok(())
            }
            Store::Large(..) => self.change(at, wait, deadline, |_| Some(*value)).map(drop),
        }
    }

    /// The old value, in `Err` if there was no new one.
    #[inline]
    pub(crate) fn change(
        &self,
        at: usize,
        wait: Wait,
        deadline: impl Fn() -> Deadline,
        change: impl FnMut(T) -> Option<T>,
    ) -> Result<std::result::Result<T, T>, WriteError> {
        self.check(at)?;
        match &self.store {
            Store::Small(small) => Ok(small.update(at, change)),
            Store::Large(large, owner) => {
                let deadline = deadline();
                let waiting = Waiting {
                    bell: large.bell(),
                    object: &self.object,
                    policy: wait,
                    deadline,
                };
                match large.update(at, owner.id(), waiting, change) {
                    Ok(old) => Ok(Ok(old)),
                    Err(Unwritten::Refused(old)) => Ok(Err(old)),
                    Err(Unwritten::Busy) if deadline == Deadline::PAST => Err(WriteError::Busy),
                    Err(Unwritten::Busy) => Err(WriteError::TimedOut),
                    Err(Unwritten::Segment(error)) => Err(error.into()),
                }
            }
        }
    }
}
