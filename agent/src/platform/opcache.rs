//! PHP's compiled code around a swap, by small scripts that the pool runs (see [`super::fastcgi`]).
//!
//! A request that is under way while files change must not meet both versions. `OPcache` can see to that: a script that
//! was compared with its file less than `opcache.revalidate_freq` seconds ago is not compared again. So the plugin's
//! compiled scripts are all made fresh right before the swap ([`hold`]), and right after it everything is dropped at once
//! ([`reset`]): requests that have begun end with the code that they began with, since PHP restarts its cache only when
//! nobody uses it any more, and new ones compile the new files.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    beneath::Dir,
    fastcgi::{FastCgiError, Pool, Script},
};

const RESET: &str = include_str!("opcache/reset.php");
const HOLD: &str = include_str!("opcache/hold.php");
/// What a script's answer begins with.
const DONE: &str = "plugmend:";
/// From one second of PHP's clock well into the next.
const ONE_SECOND: Duration = Duration::from_millis(1_010);
/// Taken off the time that is left, for the reset's own way.
const MARGIN: Duration = Duration::from_millis(510);
/// How often making fresh is tried on a busy machine.
const TRIES: u32 = 3;

/// Whether requests under way will go on with the code that they began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// They will, if the files change and the cache is reset before then.
    Until(Instant),
    /// They will: PHP never compares files with its cache here.
    ForGood,
    /// They may not: nothing keeps them from the new files.
    Not(&'static str),
}

/// Drops all compiled code of `pool`. `token` is random; the script is put into `work` for the time of the call.
///
/// # Errors
/// The pool can not be reached, can not read the script, or PHP refused.
pub fn reset(pool: &Pool, work: &Dir, token: &str) -> Result<(), FastCgiError> {
    let script = Script {
        name: "opcache-reset.php",
        code: RESET,
    };
    // Where OPcache is off there is nothing to drop.
    answer(&script.run(pool, work, token, &[])?).map(|_| ())
}

/// Makes the compiled scripts below `plugin` fresh, so that they outlive a change of their files for a moment.
///
/// PHP counts whole seconds. First all are marked as compared just now; one second later those that no request has
/// compared anew are compared. From then on each is fresh for `revalidate_freq` more seconds, counted from the later
/// second, whichever request did it.
///
/// # Errors
/// The pool can not be reached, can not read the script, or PHP refused.
pub fn hold(pool: &Pool, work: &Dir, token: &str, plugin: &Path) -> Result<Held, FastCgiError> {
    let script = Script {
        name: "opcache-hold.php",
        code: HOLD,
    };
    let root = plugin.to_string_lossy();
    let pass = |what: &str| {
        let params = [("PLUGMEND_ROOT", root.as_ref()), ("PLUGMEND_PASS", what)];
        answer(&script.run(pool, work, token, &params)?)
    };
    for _ in 0..TRIES {
        let begun = Instant::now();
        let fresh_for = match pass("age")?.as_str() {
            "off" => return Ok(Held::Not("OPcache is off")),
            "unchecked" => return Ok(Held::ForGood),
            "fixed" => return Ok(Held::Not("opcache.revalidate_freq is 0 or can not be changed")),
            seconds => Duration::from_secs(seconds.parse().map_err(|_| FastCgiError::Refused(seconds.to_owned()))?),
        };
        std::thread::sleep(ONE_SECOND);
        pass("renew")?;
        let until = begun + ONE_SECOND + fresh_for.min(Duration::from_hours(1)).saturating_sub(MARGIN);
        if Instant::now() < until {
            return Ok(Held::Until(until));
        }
    }
    Ok(Held::Not("the PHP pool answers too slowly"))
}

fn answer(text: &str) -> Result<String, FastCgiError> {
    match text.split_once(DONE) {
        Some((_, word)) => Ok(word.trim().to_owned()),
        None => Err(FastCgiError::Refused(text.trim().chars().take(300).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_s_word_is_told_from_a_complaint() {
        assert_eq!(answer("Content-type: text/html\r\n\r\nplugmend:yes").unwrap(), "yes");
        let refused = answer("Primary script unknown");
        assert!(matches!(refused, Err(FastCgiError::Refused(words)) if words.contains("Primary script")));
    }
}
