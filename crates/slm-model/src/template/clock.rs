//! `strftime_now`: the date that some templates write into their system prompt.
//!
//! In UTC. Does not know who fixes the clock or why.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A moment, in seconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    seconds: i64,
}

/// The parts of a moment that formats name.
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: i64,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Clock {
    /// The moment of the call.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::at(since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0)))
    }

    /// A moment in seconds since 1970-01-01 00:00 UTC.
    pub const fn at(seconds: i64) -> Self {
        Self { seconds }
    }

    /// The moment by a format of C's `strftime`; what is unknown stays as it is.
    pub fn format(&self, format: &str) -> String {
        let parts = self.parts();
        let mut out = String::new();
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match rest.next() {
                Some('-') => match rest.next() {
                    // Without the leading zero.
                    Some(name) => match directive(&parts, name) {
                        Some(text) => out.push_str(unpadded(&text)),
                        None => out.extend(['%', '-', name]),
                    },
                    None => out.push_str("%-"),
                },
                Some('%') => out.push('%'),
                Some(name) => match directive(&parts, name) {
                    Some(text) => out.push_str(&text),
                    None => out.extend(['%', name]),
                },
                None => out.push('%'),
            }
        }
        out
    }

    /// Days to a date by Howard Hinnant's `civil_from_days`
    /// (howardhinnant.github.io/date_algorithms.html).
    fn parts(&self) -> Parts {
        let days = self.seconds.div_euclid(86_400);
        let time = self.seconds.rem_euclid(86_400);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * from_march + 2) / 153;
        let day = from_march - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let day_of_year = match month {
            1 | 2 => from_march - 305,
            _ => from_march + 60 + i64::from(leap),
        };
        Parts {
            year,
            month,
            day,
            day_of_year,
            weekday: (days + 4).rem_euclid(7) as usize,
            hour: time / 3600,
            minute: time / 60 % 60,
            second: time % 60,
        }
    }
}

fn directive(parts: &Parts, name: char) -> Option<String> {
    let month = MONTHS[(parts.month - 1).clamp(0, 11) as usize];
    let weekday = DAYS[parts.weekday];
    let twelve = (parts.hour + 11) % 12 + 1;
    let Parts {
        year,
        month: number,
        day,
        hour,
        minute,
        second,
        ..
    } = parts;
    Some(match name {
        'Y' => year.to_string(),
        'y' => format!("{:02}", year.rem_euclid(100)),
        'm' => format!("{number:02}"),
        'B' => month.to_owned(),
        'b' | 'h' => month[..3].to_owned(),
        'd' => format!("{day:02}"),
        'e' => format!("{day:2}"),
        'j' => format!("{:03}", parts.day_of_year),
        'A' => weekday.to_owned(),
        'a' => weekday[..3].to_owned(),
        'w' => parts.weekday.to_string(),
        'H' => format!("{hour:02}"),
        'I' => format!("{twelve:02}"),
        'M' => format!("{minute:02}"),
        'S' => format!("{second:02}"),
        'p' => if *hour < 12 { "AM" } else { "PM" }.to_owned(),
        'F' => format!("{year}-{number:02}-{day:02}"),
        'T' => format!("{hour:02}:{minute:02}:{second:02}"),
        _ => return None,
    })
}

fn unpadded(text: &str) -> &str {
    match text.trim_start_matches(['0', ' ']) {
        "" => "0",
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // date -u -d @1721955661
        let clock = Clock::at(1_721_955_661);
        assert_eq!(clock.format("%d %b %Y"), "26 Jul 2024");
        assert_eq!(
            clock.format("%A, %B %-d %y %H:%M:%S %I %p %j %% %Q"),
            "Friday, July 26 24 01:01:01 01 AM 208 % %Q"
        );
        // date -u -d @951782400 and the last day of a leap year.
        assert_eq!(
            Clock::at(951_782_400).format("%F %a %j %-I%p"),
            "2000-02-29 Tue 060 12AM"
        );
        assert_eq!(Clock::at(1_735_603_200).format("%F %j"), "2024-12-31 366");
        assert_eq!(Clock::at(-1).format("%F %T"), "1969-12-31 23:59:59");
        assert_eq!(Clock::at(1_704_067_200).format("%j %"), "001 %");
    }
}
