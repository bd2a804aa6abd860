//! What one invocation may use. This one table gives the defaults, the manifest's keys, the documentation, the
//! command line's help and the error texts.

use std::fmt;
use std::time::Duration;

/// In what a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Pieces.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct LimitRow {
    /// Which limit.
    pub kind: LimitKind,
    /// Its key in a manifest's `[limits]` and in messages.
    pub name: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// Its value when neither manifest nor operator says otherwise.
    pub default: u64,
    /// What it bounds.
    pub about: &'static str,
}

macro_rules! limits {
    ($($kind:ident $field:ident $name:literal $unit:ident $default:expr, $about:literal;)*) => {
        /// One of the limits.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum LimitKind {
            $(#[doc = $about] $kind,)*
        }

        /// The table.
        pub const TABLE: &[LimitRow] = &[
            $(LimitRow {
                kind: LimitKind::$kind, name: $name, unit: Unit::$unit, default: $default, about: $about,
            },)*
        ];

        impl LimitKind {
            /// The row of the table.
            #[must_use]
            pub fn row(self) -> LimitRow {
                match self {
                    $(Self::$kind => LimitRow {
                        kind: LimitKind::$kind, name: $name, unit: Unit::$unit, default: $default, about: $about,
                    },)*
                }
            }
        }

        /// A value for each limit: counts, bytes or milliseconds as the table says.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $about] pub $field: u64,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl Limits {
            /// The value of one limit.
            #[must_use]
            pub fn get(&self, kind: LimitKind) -> u64 {
                match kind { $(LimitKind::$kind => self.$field,)* }
            }

            /// Sets one limit.
            pub fn set(&mut self, kind: LimitKind, value: u64) {
                match kind { $(LimitKind::$kind => self.$field = value,)* }
            }

            /// Each limit is the smaller one of the two: what a plugin asks for, capped by the operator.
            #[must_use]
            pub fn capped_by(&self, cap: &Self) -> Self {
                Self { $($field: self.$field.min(cap.$field),)* }
            }
        }
    };
}

limits! {
    Fuel fuel "fuel" Count 10_000_000, "instructions, and the host's work for the guest converted into them";
    Deadline deadline_ms "deadline" Milliseconds 2_000, "wall-clock time, the host's work included";
    Memory memory "memory" Bytes 64 << 20, "all linear memories together";
    HostCalls host_calls "host-calls" Count 1_000, "calls of host functions";
    RowsRead rows_read "rows-read" Count 10_000, "records read";
    RowsWritten rows_written "rows-written" Count 1_000, "records written";
    CallBytes call_bytes "call-bytes" Bytes 1 << 20, "bytes into or out of one host call";
    TotalBytes total_bytes "total-bytes" Bytes 4 << 20, "bytes into and out of all host calls";
    Events events "events" Count 100, "events published";
    EventBytes event_bytes "event-bytes" Bytes 256 << 10, "size of one event's payload";
    LogLines log_lines "log-lines" Count 200, "log lines";
    LogLineBytes log_line_bytes "log-line-bytes" Bytes 8 << 10, "size of one log line";
    EventDepth event_depth "event-depth" Count 16, "events caused by one another";
    WriterHold writer_hold_ms "writer-hold" Milliseconds 250, "time the embedded database's writer is held";
}

impl Limits {
    /// The deadline as a duration.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// What a job has where nothing else is said: ten times as much of what adds up. What is of one moment or one thing
    /// (memory, the size of a call, the writer of an embedded database) stays.
    #[must_use]
    pub fn for_jobs(&self) -> Self {
        let mut limits = self.clone();
        for row in TABLE {
            if row.kind.adds_up() {
                limits.set(row.kind, self.get(row.kind).saturating_mul(10));
            }
        }
        limits
    }

    /// The writer hold as a duration.
    #[must_use]
    pub fn writer_hold(&self) -> Duration {
        Duration::from_millis(self.writer_hold_ms)
    }
}

impl LimitKind {
    /// The limit with this name in a manifest.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.kind)
    }

    /// Whether it is of an invocation's whole time.
    fn adds_up(self) -> bool {
        match self {
            Self::Fuel
            | Self::Deadline
            | Self::HostCalls
            | Self::RowsRead
            | Self::RowsWritten
            | Self::TotalBytes
            | Self::Events
            | Self::LogLines => true,
            Self::Memory
            | Self::CallBytes
            | Self::EventBytes
            | Self::LogLineBytes
            | Self::EventDepth
            | Self::WriterHold => false,
        }
    }

    /// A value in the limit's unit: `64 MiB`, `250 ms`, `200`.
    #[must_use]
    pub fn show(self, value: u64) -> String {
        match self.row().unit {
            Unit::Count => value.to_string(),
            Unit::Milliseconds => format!("{value} ms"),
            Unit::Bytes if value >= 1 << 20 && value.is_multiple_of(1 << 20) => {
                format!("{} MiB", value >> 20)
            }
            Unit::Bytes if value >= 1 << 10 && value.is_multiple_of(1 << 10) => {
                format!("{} KiB", value >> 10)
            }
            Unit::Bytes => format!("{value} bytes"),
        }
    }
}

/// A limit that was reached: which, how much was asked for, how much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    /// Which limit.
    pub kind: LimitKind,
    /// What the call would have brought it to.
    pub used: u64,
    /// What is allowed.
    pub allowed: u64,
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, used, allowed } = *self;
        let row = kind.row();
        write!(
            f,
            "{} ({}): {} used, {} allowed; do less in one invocation, or ask for more with `{}` under [limits] in \
             plugin.toml",
            row.name,
            row.about,
            kind.show(used),
            kind.show(allowed),
            row.name,
        )
    }
}

impl std::error::Error for LimitExceeded {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_struct_agree() {
        let mut limits = Limits::default();
        for row in TABLE {
            assert_eq!(limits.get(row.kind), row.default);
            assert_eq!(LimitKind::from_name(row.name), Some(row.kind));
            limits.set(row.kind, 1);
            assert_eq!(limits.get(row.kind), 1);
        }
        assert_eq!(Limits::default().capped_by(&limits), limits);
    }

    #[test]
    fn a_job_has_ten_times_as_much_of_what_adds_up() {
        let (own, jobs) = (Limits::default(), Limits::default().for_jobs());
        assert_eq!((jobs.fuel, jobs.deadline()), (100_000_000, Duration::from_secs(20)));
        assert_eq!((jobs.memory, jobs.writer_hold_ms), (own.memory, own.writer_hold_ms));
        assert_eq!(Limits { fuel: u64::MAX, ..own }.for_jobs().fuel, u64::MAX);
    }

    #[test]
    fn a_message_names_limit_used_and_allowed() {
        let text =
            LimitExceeded { kind: LimitKind::CallBytes, used: (1 << 20) + 1, allowed: 1 << 20 }.to_string();
        assert!(text.starts_with(
            "call-bytes (bytes into or out of one host call): 1048577 bytes used, 1 MiB allowed"
        ));
    }
}
