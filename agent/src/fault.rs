//! Named points at which a test may kill the process or make a call fail. Without the feature `failpoints` they are
//! nothing at all; merchants never get a binary that has them.
//!
//! `PLUGMEND_FAULT="<point>[#<nth>]=<kill|enospc|eio|erofs>"` arms one point at its nth passing (1 when left out), and more
//! after a `;`;
//! `PLUGMEND_FAULT_TRACE=<file>` appends the name of every point passed, so that a test can walk them all.

/// Passes a point; a test may end the process here.
macro_rules! crash_point {
    ($name:expr) => {
        #[cfg(feature = "failpoints")]
        {
            let _ = $crate::fault::hit($name);
        }
    };
}

/// Passes a point; a test may end the process here or make the call fail. Its value is an `io::Result<()>`.
macro_rules! fault_point {
    ($name:expr) => {{
        #[cfg(feature = "failpoints")]
        {
            $crate::fault::hit($name)
        }
        #[cfg(not(feature = "failpoints"))]
        {
            std::io::Result::Ok(())
        }
    }};
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::{
        collections::HashMap,
        io::{self, Write as _},
        sync::{Mutex, OnceLock},
    };

    struct Fault {
        point: String,
        nth: u32,
        action: String,
    }

    fn armed() -> &'static [Fault] {
        static FAULTS: OnceLock<Vec<Fault>> = OnceLock::new();
        FAULTS.get_or_init(|| {
            let text = std::env::var("PLUGMEND_FAULT").unwrap_or_default();
            text.split(';').filter_map(fault).collect()
        })
    }

    fn fault(text: &str) -> Option<Fault> {
        let (place, action) = text.split_once('=')?;
        let (point, nth) = place.split_once('#').unwrap_or((place, "1"));
        Some(Fault {
            point: point.to_owned(),
            nth: nth.parse().ok()?,
            action: action.to_owned(),
        })
    }

    fn count(point: &str) -> u32 {
        static HITS: OnceLock<Mutex<HashMap<String, u32>>> = OnceLock::new();
        let mut hits = HITS
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let seen = hits.entry(point.to_owned()).or_default();
        *seen += 1;
        *seen
    }

    /// Passes the point `name`: does what the test armed, if it armed this one.
    ///
    /// # Errors
    /// The armed fault.
    pub fn hit(name: &str) -> io::Result<()> {
        if let Some(file) = std::env::var_os("PLUGMEND_FAULT_TRACE") {
            let mut trace = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
            trace.write_all(format!("{name}\n").as_bytes())?;
        }
        let Some(fault) = armed().iter().find(|fault| fault.point == name) else {
            return Ok(());
        };
        let nth = count(name);
        match fault.action.as_str() {
            "kill" if nth == fault.nth => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                Ok(())
            }
            // A full disk stays full until somebody makes room.
            "enospc" if nth >= fault.nth => Err(rustix::io::Errno::NOSPC.into()),
            "eio" if nth == fault.nth => Err(rustix::io::Errno::IO.into()),
            "erofs" if nth >= fault.nth => Err(rustix::io::Errno::ROFS.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(feature = "failpoints")]
pub use armed::hit;
