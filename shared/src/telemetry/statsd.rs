//! DogStatsD lines: `name:value[:value…]|type[|@rate][|#key:value,…]`, protocol versions 1.0 to 1.3 as documented by
//! Datadog ("DogStatsD datagram format"). Fields of later versions (`c:`, `T`, `e:`, `card:`) are read over. Events
//! (`_e{`) and service checks (`_sc`) are refused.

use super::fact::{Fact, MAX_NAME, Refusal, check_name, short, to_count, to_ms};

/// The longest datagram that is read, in bytes: DogStatsD clients send at most 8,192.
pub const MAX_DATAGRAM: usize = 8192;
/// The most values that one line may pack.
const MAX_VALUES: usize = 256;

/// What became of the lines of one datagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines that were counted.
    pub taken: u64,
    /// Lines that were not in the notation.
    pub refused: u64,
    /// Lines beyond the budget: not even looked at.
    pub dropped: u64,
}

/// Reads a datagram of newline-separated lines; at most `budget` of them are looked at.
pub fn parse_datagram(bytes: &[u8], budget: u64, emit: &mut dyn FnMut(Fact<'_>)) -> Tally {
    let mut tally = Tally::default();
    for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        if tally.taken + tally.refused >= budget {
            tally.dropped += 1;
            continue;
        }
        let parsed = std::str::from_utf8(line)
            .map_err(|_| Refusal::NotText)
            .and_then(|line| parse_line(line, emit));
        match parsed {
            Ok(()) => tally.taken += 1,
            Err(_) => tally.refused += 1,
        }
    }
    tally
}

/// Reads one line. Nothing is emitted unless all of the line is good.
///
/// # Errors
/// What is wrong with the line.
pub fn parse_line(line: &str, emit: &mut dyn FnMut(Fact<'_>)) -> Result<(), Refusal> {
    let line = line.trim_end_matches('\r');
    if line.len() > MAX_DATAGRAM {
        return Err(Refusal::TooLong);
    }
    let mut fields = line.split('|');
    let (name, values) = fields
        .next()
        .and_then(|head| head.split_once(':'))
        .ok_or(Refusal::Malformed)?;
    let name = check_name(name.strip_prefix("plugmend.").unwrap_or(name))?;
    let kind = Kind::of(fields.next().ok_or(Refusal::Malformed)?)?;
    let extras = Extras::read(fields)?;
    if values.split(':').count() > MAX_VALUES {
        return Err(Refusal::TooLong);
    }
    let metric = Metric { name, kind, extras };
    for value in values.split(':') {
        metric.fact(value)?;
    }
    for value in values.split(':') {
        emit(metric.fact(value)?);
    }
    if let Some(version) = metric.extras.version {
        emit(Fact::Version(version));
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Timer,
    Set,
}

impl Kind {
    fn of(text: &str) -> Result<Self, Refusal> {
        match text {
            "c" => Ok(Self::Counter),
            "g" => Ok(Self::Gauge),
            "ms" | "h" | "d" => Ok(Self::Timer),
            "s" => Ok(Self::Set),
            _ => Err(Refusal::UnknownKind),
        }
    }
}

/// What stands behind the type: sample rate and the tags that mean something to us.
struct Extras<'a> {
    rate: f64,
    failed: bool,
    version: Option<&'a str>,
}

impl<'a> Extras<'a> {
    fn read(fields: impl Iterator<Item = &'a str>) -> Result<Self, Refusal> {
        let mut extras = Self {
            rate: 1.0,
            failed: false,
            version: None,
        };
        for field in fields {
            if let Some(rate) = field.strip_prefix('@') {
                extras.rate = rate.parse().map_err(|_| Refusal::BadRate)?;
                if !(extras.rate > 0.0 && extras.rate <= 1.0) {
                    return Err(Refusal::BadRate);
                }
            } else if let Some(tags) = field.strip_prefix('#') {
                extras.read_tags(tags);
            } else if !["c:", "T", "e:", "card:"].iter().any(|known| field.starts_with(known)) {
                return Err(Refusal::Malformed);
            }
        }
        Ok(extras)
    }

    fn read_tags(&mut self, tags: &'a str) {
        for tag in tags.split(',') {
            match tag.split_once(':') {
                Some(("ok", value)) => self.failed |= value == "false",
                Some(("status", value)) => self.failed |= value.starts_with('5'),
                Some(("version", value)) if !value.is_empty() => self.version = Some(short(value)),
                _ => {}
            }
        }
    }
}

struct Metric<'a> {
    name: &'a str,
    kind: Kind,
    extras: Extras<'a>,
}

impl Metric<'_> {
    fn fact<'v>(&'v self, value: &'v str) -> Result<Fact<'v>, Refusal> {
        if self.kind == Kind::Set {
            return match value.len() {
                1..=MAX_NAME => Ok(Fact::Member { name: self.name, value }),
                _ => Err(Refusal::BadValue),
            };
        }
        let number: f64 = value.parse().map_err(|_| Refusal::BadValue)?;
        if !number.is_finite() {
            return Err(Refusal::BadValue);
        }
        match self.kind {
            Kind::Counter => self.counter(number),
            Kind::Gauge => Ok(Fact::Gauge {
                name: self.name,
                value: number,
            }),
            Kind::Timer | Kind::Set => self.timer(number),
        }
    }

    fn counter(&self, value: f64) -> Result<Fact<'_>, Refusal> {
        let scaled = value / self.extras.rate;
        let count = to_count(scaled)?;
        let failed = if self.extras.failed { count } else { 0 };
        Ok(match self.name {
            "requests" => Fact::Requests { served: count, failed },
            "errors" => Fact::Errors(count),
            "webhook" => Fact::Webhooks { tried: count, failed },
            "webhook.total" => Fact::Webhooks {
                tried: count,
                failed: 0,
            },
            "webhook.failed" => Fact::Webhooks {
                tried: 0,
                failed: count,
            },
            name if scaled.is_finite() => Fact::Count { name, by: scaled },
            _ => return Err(Refusal::BadValue),
        })
    }

    fn timer(&self, value: f64) -> Result<Fact<'_>, Refusal> {
        let times = to_count(1.0 / self.extras.rate)?;
        if self.name == "latency" {
            return Ok(Fact::Latency {
                ms: to_ms(value)?,
                times,
            });
        }
        if value < 0.0 {
            return Err(Refusal::BadValue);
        }
        Ok(Fact::Timer {
            name: self.name,
            value,
            times,
        })
    }
}
