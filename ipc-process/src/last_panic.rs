//! Message and place of the last panic of a thread: the payload that is caught
//! does not know its place.

use std::any::Any;
use std::cell::RefCell;
use std::panic;

thread_local! {
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

struct Panic {
    message: String,
    place: String,
}

/// Remembers panics from now on, in addition to what was done so far.
pub(crate) fn record() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string);
        // A panic while the thread's locals are being destroyed is past any role.
        let _ = LAST.try_with(|last| {
            last.replace(Some(Panic {
                message: text(info.payload()),
                place: place.unwrap_or_default(),
            }))
        });
        previous(info);
    }));
}

/// `message, at file:line:column` of a payload just caught.
pub(crate) fn describe(payload: &(dyn Any + Send)) -> String {
    let message = text(payload);
    match LAST.take() {
        // A payload resumed from elsewhere was not seen by the hook.
        Some(last) if last.message == message => format!("{message}, at {}", last.place),
        _ => message,
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
