//! Second copies of archives. An archive has one when it was found damaged or missing and a good copy was elsewhere: nothing is
//! overwritten, so what heals lies below `mirror/`, and readers take it instead.

use std::collections::HashMap;
use std::sync::Arc;

use super::format::names;
use super::{Repository, RepositoryError};

impl Repository {
    /// The archives that have a second copy, with its length in bytes. It is asked for once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn healed_archives(&self) -> Result<Arc<HashMap<String, u64>>, RepositoryError> {
        let listed = self.healed.get_or_try_init(|| async {
            let found = self.storage.list(&names::mirror(names::ARCHIVES)).await?;
            let plain = |name: &str| name.strip_prefix(names::MIRROR).map(str::to_owned);
            let healed = found.iter().filter_map(|object| Some((plain(&object.name)?, object.size_bytes)));
            Ok::<_, RepositoryError>(Arc::new(healed.collect::<HashMap<_, _>>()))
        });
        Ok(Arc::clone(listed.await?))
    }

    /// Where an archive is read: its second copy, where it has one, since somebody found the first to be no good.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn place_of(&self, object: &str) -> Result<String, RepositoryError> {
        let healed = self.healed_archives().await?;
        Ok(if healed.contains_key(object) { names::mirror(object) } else { object.to_owned() })
    }
}
