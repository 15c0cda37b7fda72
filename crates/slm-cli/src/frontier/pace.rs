//! Rates that a server allows: requests and tokens in a minute, and waits that it asks for.
//!
//! Does not know who answers.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The window that rates are counted in.
const MINUTE: Duration = Duration::from_secs(60);
/// The longest wait that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// What may be sent in any minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Requests.
    pub requests_per_minute: Option<u64>,
    /// Tokens, with answers as long as they may be.
    pub tokens_per_minute: Option<u64>,
}

/// Keeps to rates, for many threads at once.
#[derive(Debug, Default)]
pub struct Pace {
    rates: Rates,
    /// What was sent within the last minute.
    sent: Mutex<VecDeque<(Instant, u64)>>,
}

impl Pace {
    /// Nothing sent yet.
    pub fn new(rates: Rates) -> Self {
        Self {
            rates,
            sent: Mutex::default(),
        }
    }

    /// Waits until so many tokens may be sent, and counts them as sent.
    pub fn wait(&self, tokens: u64) {
        while let Some(wait) = self.send(Instant::now(), tokens) {
            std::thread::sleep(wait);
        }
    }

    /// Counts a request as sent, or says how long to wait before asking again. A request that is
    /// too large for any minute goes when nothing else has gone.
    fn send(&self, now: Instant, tokens: u64) -> Option<Duration> {
        if self.rates == Rates::default() {
            return None;
        }
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        while sent
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) >= MINUTE)
        {
            sent.pop_front();
        }
        let requests = sent.len() as u64;
        let total: u64 = sent.iter().map(|(_, tokens)| tokens).sum();
        let fits = self
            .rates
            .requests_per_minute
            .is_none_or(|most| requests < most)
            && self
                .rates
                .tokens_per_minute
                .is_none_or(|most| total + tokens <= most);
        match sent.front() {
            Some((first, _)) if !fits => Some(MINUTE.saturating_sub(now.duration_since(*first))),
            _ => {
                sent.push_back((now, tokens));
                None
            }
        }
    }
}

/// How long a `Retry-After` asks to wait: seconds, or a date (RFC 9110, 10.2.3).
pub fn asked_wait(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    let seconds = match header.parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
            (date(header)? as f64 - now).max(0.0)
        }
    };
    (seconds.is_finite() && seconds >= 0.0)
        .then(|| Duration::from_secs_f64(seconds.min(LONGEST_ASKED.as_secs_f64())))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split_whitespace();
    let day: i64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words
        .next()?
        .split(':')
        .map(|part| part.parse::<i64>().ok());
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    let clock_is_sound = (0..24).contains(&hours) && minutes.max(seconds) <= 60;
    let date_is_sound = (1970..=9999).contains(&year) && (1..=31).contains(&day);
    if words.next()? != "GMT" || !clock_is_sound || !date_is_sound || minutes.min(seconds) < 0 {
        return None;
    }
    // Days of the civil calendar, with years that begin in March (Hinnant, days_from_civil).
    let shifted = year - i64::from(month <= 2);
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_holds_more_than_allowed() {
        let pace = Pace::new(Rates {
            requests_per_minute: Some(2),
            tokens_per_minute: None,
        });
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace.send(at(0), 9), None);
        assert_eq!(pace.send(at(20), 9), None);
        assert_eq!(pace.send(at(30), 9), Some(Duration::from_secs(30)));
        assert_eq!(pace.send(at(60), 9), None);
        assert_eq!(pace.send(at(61), 9), Some(Duration::from_secs(19)));
    }

    #[test]
    fn tokens_count_too_and_none_waits_for_ever() {
        let pace = Pace::new(Rates {
            requests_per_minute: None,
            tokens_per_minute: Some(100),
        });
        let start = Instant::now();
        assert_eq!(pace.send(start, 60), None);
        assert_eq!(pace.send(start, 60), Some(MINUTE));
        assert_eq!(pace.send(start, 40), None);
        assert_eq!(pace.send(start + MINUTE, 500), None);
    }

    #[test]
    fn waits_are_read_as_seconds_and_as_dates() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770);
        let wait = |text| asked_wait(text, now);
        assert_eq!(wait("2.5"), Some(Duration::from_millis(2500)));
        // 784,111,777 is the date of RFC 9110's example.
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(7))
        );
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999"), Some(LONGEST_ASKED));
        for rubbish in ["soon", "-1", "Sun, 06 Nov", "NaN"] {
            assert_eq!(wait(rubbish), None, "{rubbish}");
        }
        assert_eq!(date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
    }
}
