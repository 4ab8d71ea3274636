//! What a store charges: the `[prices]` table of a profile, and that of a vault.

use serde::Deserialize;

/// Prices in whatever currency. A GB is 10^9 bytes, as stores bill it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", try_from = "Written")]
pub struct Prices {
    /// What the sums are shown in.
    pub currency: String,
    /// A GB for a month.
    pub storage: f64,
    /// A GB that is read.
    pub download: f64,
    /// A thousand requests that read.
    pub reads: f64,
    /// A thousand requests that write or list.
    pub writes: f64,
}

// Numbers of a profile are never NaN: they were checked.
impl Eq for Prices {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    #[serde(default)]
    currency: String,
    storage: f64,
    #[serde(default)]
    download: f64,
    #[serde(default)]
    reads: f64,
    #[serde(default)]
    writes: f64,
}

impl TryFrom<Written> for Prices {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { currency, storage, download, reads, writes } = written;
        for (key, price) in [("storage", storage), ("download", download), ("reads", reads), ("writes", writes)] {
            // More than anybody charges.
            if !(0.0..=1e9).contains(&price) {
                return Err(format!("{key} = {price} is not a price"));
            }
        }
        Ok(Self { currency, storage, download, reads, writes })
    }
}

impl Prices {
    /// What so many bytes cost in a month.
    pub fn month(&self, bytes: f64) -> f64 {
        bytes / 1e9 * self.storage
    }

    /// What it costs to read so many bytes with so many requests.
    pub fn reading(&self, bytes: u64, requests: u64) -> f64 {
        bytes as f64 / 1e9 * self.download + requests as f64 / 1e3 * self.reads
    }

    /// What it costs to write so many objects.
    pub fn writing(&self, objects: f64) -> f64 {
        objects / 1e3 * self.writes
    }

    /// A sum as people read it.
    pub fn sum(&self, sum: f64) -> String {
        let digits = if sum > 0.0 && sum < 0.1 { 4 } else { 2 };
        format!("{sum:.digits$} {}", self.currency).trim_end().to_owned()
    }
}

impl std::fmt::Display for Prices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { currency, storage, download, reads, writes } = self;
        write!(f, "storage {storage}, download {download}, reads {reads}, writes {writes} {currency}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_numbers_of_one_table() {
        let read = |text: &str| toml::from_str::<Prices>(text).map_err(|error| error.message().to_owned());
        let prices = read("currency = 'EUR'\nstorage = 0.006\ndownload = 0.01\nreads = 0.0004\nwrites = 0.005").unwrap();
        assert_eq!(prices.sum(prices.month(100e9)), "0.60 EUR");
        assert_eq!(prices.sum(prices.reading(100_000_000_000, 10_000)), "1.00 EUR");
        assert_eq!((prices.sum(prices.writing(10.0)).as_str(), prices.sum(0.0).as_str()), ("0.0001 EUR", "0.00 EUR"));
        assert_eq!(read("storage = 1").unwrap().sum(3.0), "3.00");
        for text in ["", "storage = -1", "storage = nan", "storage = inf", "storage = '1'", "storage = 1\nstorrage = 1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
