//! Links planted in the way, before the restore or by the archive itself.

use super::*;

#[test]
fn a_link_on_the_way_is_refused_at_every_level_and_by_every_call() {
    for overwrite in EVERY {
        for level in ["a", "a/b", "a/b/c"] {
            let (_place, root, outside) = occupied();
            if let Some(parent) = Path::new(level).parent() {
                fs::create_dir_all(root.join(parent)).unwrap();
            }
            symlink(&outside, root.join(level)).unwrap();
            let target = open(&root, overwrite);
            let inside = path("a/b/c/file");
            let errors = [
                write(&target, "a/b/c/file", b"x").unwrap_err(),
                target.dir(&inside, &meta(0o777)).unwrap_err(),
                target.symlink(&inside, b"x", &meta(0o777)).unwrap_err(),
                target.hardlink(&inside, &path("x")).unwrap_err(),
                target.remove(&inside).unwrap_err(),
                target.attributes(&inside, &Kind::File, &meta(0o777)).unwrap_err(),
                target.wants(&inside, &Kind::File, 1, Timestamp::default()).unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.to_string(), format!("a symbolic link is in the way at '{level}'; it was left as it is"));
            }
            finish(target);
            assert_eq!(fs::read_link(root.join(level)).unwrap(), outside);
            assert_untouched(&outside);
        }
    }
}

#[test]
fn a_link_that_the_archive_plants_leads_nowhere() {
    for overwrite in EVERY {
        let (_place, root, outside) = occupied();
        let target = open(&root, overwrite);
        target.symlink(&path("d/a"), outside.to_str().unwrap().as_bytes(), &meta(0o777)).unwrap();
        assert!(matches!(write(&target, "d/a/file", b"x"), Err(TargetError::InTheWay { .. })));
        // As a folder by name it is replaced when the user wants existing entries replaced, and only then.
        let dir = target.dir(&path("d/a"), &meta(0o700));
        assert_eq!(dir.is_ok(), overwrite == Overwrite::Always);
        assert_eq!(write(&target, "d/a/file", b"x").is_ok(), overwrite == Overwrite::Always);
        finish(target);
        assert_untouched(&outside);
    }
}

#[test]
fn a_folder_swapped_for_a_link_during_the_restore_leads_nowhere() {
    let (_place, root, outside) = occupied();
    let target = open(&root, Overwrite::Always);
    let content = vec![1; 100];
    target.dir(&path("a"), &meta(0o751)).unwrap();
    write(&target, "a/one", &content).unwrap();
    fs::rename(root.join("a"), root.join("moved")).unwrap();
    symlink(&outside, root.join("a")).unwrap();
    // The folder is open already: the file goes with it.
    write(&target, "a/two", &content).unwrap();
    target.finish().unwrap();
    assert_untouched(&outside);
    assert!(root.join("moved/two").exists());
}

#[test]
fn a_link_at_the_final_name_is_replaced_not_followed() {
    for overwrite in EVERY {
        let (_place, root, outside) = occupied();
        symlink(outside.join("file"), root.join("name")).unwrap();
        let target = open(&root, overwrite);
        let done = write(&target, "name", b"new");
        finish(target);
        if overwrite == Overwrite::Never {
            assert!(matches!(done, Err(TargetError::Exists { .. })));
            assert!(root.join("name").is_symlink());
        } else {
            done.unwrap();
            assert_eq!(fs::read(root.join("name")).unwrap(), b"new");
            assert!(!root.join("name").is_symlink());
        }
        assert_untouched(&outside);
    }
}

#[test]
fn the_folder_that_the_user_names_may_be_a_link() {
    let (place, root, _) = occupied();
    symlink(&root, place.path().join("link")).unwrap();
    let target = open(&place.path().join("link"), Overwrite::Never);
    write(&target, "file", b"x").unwrap();
    finish(target);
    assert_eq!(names(&root), set(&["file"]));
}

#[test]
fn hard_links_reach_restored_files_only() {
    let (_place, root, outside) = occupied();
    symlink(&outside, root.join("way")).unwrap();
    symlink(outside.join("file"), root.join("link")).unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    let target = open(&root, Overwrite::Always);
    for first in ["way/file", "link", "folder", "missing"] {
        target.hardlink(&path(&format!("to-{}", first.replace('/', "-"))), &path(first)).unwrap();
    }
    let failures = target.finish().unwrap().failures;
    let said: Vec<String> = failures.iter().map(|failure| failure.error.to_string()).collect();
    assert_eq!(said[0], "a symbolic link is in the way at 'way'; it was left as it is");
    assert!(said[1..].iter().all(|text| text.ends_with("which is no regular file in the target folder")), "{said:?}");
    assert_eq!(said.len(), 4);
    assert_eq!(names(&root), set(&["way", "link", "folder"]));
    assert_untouched(&outside);
}
