//! The mirrors of a profile: after the backups, each is brought up to date with the vault that it mirrors.

use std::sync::Arc;

use crate::commands::context::Context;
use crate::commands::copy;
use crate::commands::exit::Exit;
use crate::commands::units;

/// Brings the mirrors among `contexts` up to date, those of vaults that `contexts` has; gives the worst end.
pub async fn update(contexts: &[Arc<Context>]) -> Exit {
    let mut worst = Exit::Done;
    for target in contexts {
        let Some(of) = &target.settings.mirror_of else { continue };
        let is_meant = |context: &&Arc<Context>| {
            let settings = &context.settings;
            settings.vault.as_ref() == Some(of) || settings.repo.as_ref().is_some_and(|repo| repo.value == *of)
        };
        let Some(context) = contexts.iter().find(is_meant) else { continue };
        let label = target.vault_label().unwrap_or_default();
        context.output.say(&format!("mirror: {} → {}", units::printable(of), units::printable(&label)));
        let exit = match copy::mirror_to(context, target, false).await {
            Ok(exit) => exit,
            Err(error) => {
                context.output.fail(&error);
                error.exit()
            }
        };
        worst = worst.worse(exit);
        if exit == Exit::Interrupted {
            break;
        }
    }
    worst
}
