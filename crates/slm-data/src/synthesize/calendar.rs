//! Dates and times of day as people write them.
//!
//! Does not know time zones, weekdays or relative dates.

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub year: i64,
    pub month: u8,
    pub day: u8,
}

/// English month names.
pub(crate) const MONTHS: [&str; 12] = [
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

/// A way to write a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DateForm {
    Iso,
    DayMonthYear,
    MonthDayYear,
    DayShortYear,
    ShortDayYear,
    SlashDayFirst,
    SlashMonthFirst,
    Dotted,
    Slashed,
}

impl DateForm {
    pub const ALL: [Self; 9] = [
        Self::Iso,
        Self::DayMonthYear,
        Self::MonthDayYear,
        Self::DayShortYear,
        Self::ShortDayYear,
        Self::SlashDayFirst,
        Self::SlashMonthFirst,
        Self::Dotted,
        Self::Slashed,
    ];
}

impl Date {
    /// Reads `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shape = bytes.len() == 10
            && bytes.iter().enumerate().all(|(i, b)| {
                if i == 4 || i == 7 {
                    *b == b'-'
                } else {
                    b.is_ascii_digit()
                }
            });
        if !shape {
            return None;
        }
        let date = Self {
            year: text[..4].parse().ok()?,
            month: text[5..7].parse().ok()?,
            day: text[8..].parse().ok()?,
        };
        (Self::from_days(date.to_days()) == date && (1..=12).contains(&date.month)).then_some(date)
    }

    /// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
    /// algorithms", `days_from_civil`).
    pub fn to_days(self) -> i64 {
        let year = if self.month <= 2 {
            self.year - 1
        } else {
            self.year
        };
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let month = (i64::from(self.month) + 9) % 12;
        let of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// The inverse of [`Date::to_days`].
    pub fn from_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        Self {
            year,
            month: month as u8,
            day: day as u8,
        }
    }

    /// The day `days` later.
    pub fn plus(self, days: i64) -> Self {
        Self::from_days(self.to_days() + days)
    }

    /// Writes the date; `None` where another date would be written alike
    /// (`05/05/2024` says nothing of which comes first).
    pub fn render(self, form: DateForm) -> Option<String> {
        let Self { year, month, day } = self;
        let name = MONTHS.get(usize::from(month).checked_sub(1)?)?;
        let short = &name[..3];
        let text = match form {
            DateForm::Iso => format!("{year:04}-{month:02}-{day:02}"),
            DateForm::DayMonthYear => format!("{day} {name} {year}"),
            DateForm::MonthDayYear => format!("{name} {day}, {year}"),
            DateForm::DayShortYear => format!("{day} {short} {year}"),
            DateForm::ShortDayYear => format!("{short} {day}, {year}"),
            DateForm::SlashDayFirst | DateForm::SlashMonthFirst if day <= 12 => return None,
            DateForm::SlashDayFirst => format!("{day:02}/{month:02}/{year}"),
            DateForm::SlashMonthFirst => format!("{month:02}/{day:02}/{year}"),
            DateForm::Dotted => format!("{day:02}.{month:02}.{year}"),
            DateForm::Slashed => format!("{year}/{month:02}/{day:02}"),
        };
        Some(text)
    }
}

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    pub hour: u8,
    pub minute: u8,
}

/// A way to write a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimeForm {
    Clock,
    TwelveSpaced,
    TwelveJoined,
    HourSpaced,
    HourJoined,
}

impl TimeForm {
    pub const ALL: [Self; 5] = [
        Self::Clock,
        Self::TwelveSpaced,
        Self::TwelveJoined,
        Self::HourSpaced,
        Self::HourJoined,
    ];
}

impl Time {
    /// Reads `HH:MM`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shape = bytes.len() == 5
            && bytes.iter().enumerate().all(|(i, b)| {
                if i == 2 {
                    *b == b':'
                } else {
                    b.is_ascii_digit()
                }
            });
        if !shape {
            return None;
        }
        let time = Self {
            hour: text[..2].parse().ok()?,
            minute: text[3..].parse().ok()?,
        };
        (time.hour < 24 && time.minute < 60).then_some(time)
    }

    /// Writes the time; `None` where the form has no place for its minutes.
    pub fn render(self, form: TimeForm) -> Option<String> {
        let Self { hour, minute } = self;
        let half = if hour < 12 { "am" } else { "pm" };
        let twelve = (hour + 11) % 12 + 1;
        match form {
            TimeForm::Clock => Some(format!("{hour:02}:{minute:02}")),
            TimeForm::TwelveSpaced => Some(format!("{twelve}:{minute:02} {half}")),
            TimeForm::TwelveJoined => Some(format!("{twelve}:{minute:02}{half}")),
            TimeForm::HourSpaced => (minute == 0).then(|| format!("{twelve} {half}")),
            TimeForm::HourJoined => (minute == 0).then(|| format!("{twelve}{half}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_only_real_dates_and_times() {
        assert_eq!(Date::parse("1970-01-01").map(Date::to_days), Some(0));
        assert_eq!(Date::parse("2000-03-01").map(Date::to_days), Some(11_017));
        assert!(Date::parse("2024-02-29").is_some());
        for wrong in [
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-1-10",
            "20240-1-1",
            "2024-01-0é",
        ] {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Time::parse("24:00"), None);
        assert_eq!(Time::parse("9:00"), None);
    }

    #[test]
    fn writes_dates_and_times() {
        let date = Date::parse("2024-03-15").unwrap();
        let all: Vec<String> = DateForm::ALL
            .iter()
            .filter_map(|f| date.render(*f))
            .collect();
        assert_eq!(
            all,
            [
                "2024-03-15",
                "15 March 2024",
                "March 15, 2024",
                "15 Mar 2024",
                "Mar 15, 2024",
                "15/03/2024",
                "03/15/2024",
                "15.03.2024",
                "2024/03/15"
            ]
        );
        assert_eq!(date.plus(-15).render(DateForm::Iso).unwrap(), "2024-02-29");
        let time = Time::parse("14:00").unwrap();
        let all: Vec<String> = TimeForm::ALL
            .iter()
            .filter_map(|f| time.render(*f))
            .collect();
        assert_eq!(all, ["14:00", "2:00 pm", "2:00pm", "2 pm", "2pm"]);
        assert_eq!(
            Time::parse("00:05")
                .unwrap()
                .render(TimeForm::TwelveSpaced)
                .unwrap(),
            "12:05 am"
        );
    }

    proptest! {
        #[test]
        fn days_round_trip(days in -800_000i64..3_000_000) {
            prop_assert_eq!(Date::from_days(days).to_days(), days);
        }
    }
}
