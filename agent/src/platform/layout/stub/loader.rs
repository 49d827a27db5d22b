//! The loader that an entry file gets at adoption.

use std::path::Path;

use plugmend_shared::bundle::path::RelPath;

use super::{POINTER, SwapError, VERSIONS};

/// A loader for one entry file. WordPress reads a plugin's name and version from the first comment of its main file,
/// so that comment is carried over.
pub(super) fn loader(entry: &RelPath, content: &[u8]) -> Result<String, SwapError> {
    let refuse = |why| SwapError::Loader {
        file: entry.as_str().to_owned(),
        why,
    };
    if Path::new(entry.as_str()).extension().is_none_or(|ext| ext != "php") {
        return Err(refuse(
            "only PHP files have one; use the symlink layout for Node and Python",
        ));
    }
    let up = "/..".repeat(entry.as_str().matches('/').count());
    let file = entry.as_str().replace('\'', "\\'");
    Ok(format!(
        "<?php\n{}\
         // Made by Plugmend when it adopted this plugin: loads the release that the pointer file names.\n\
         $plugmend_release = @file_get_contents(__DIR__ . '{up}/{POINTER}');\n\
         if (!is_string($plugmend_release) || !preg_match('/\\A[A-Za-z0-9][A-Za-z0-9._+-]{{0,200}}\\z/', $plugmend_release)) {{\n\
         \x20   http_response_code(503);\n\
         \x20   exit('The plugin is not available.');\n\
         }}\n\
         return require __DIR__ . '{up}/{VERSIONS}/' . $plugmend_release . '/{file}';\n",
        first_comment(content)
    ))
}

fn first_comment(content: &[u8]) -> String {
    let head = String::from_utf8_lossy(&content[..content.len().min(8192)]);
    let comment = head.find("/*").and_then(|start| {
        let end = head[start..].find("*/")?;
        Some(head[start..start + end + 2].to_owned() + "\n")
    });
    comment.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_keeps_the_header_that_wordpress_reads() {
        let content = b"<?php\n/**\n * Plugin Name: Pay\n * Version: 1.0\n */\ncode();\n";
        let made = loader(&RelPath::new("inc/pay.php").unwrap(), content).unwrap();
        assert!(made.contains("Plugin Name: Pay"));
        assert!(made.contains("__DIR__ . '/../.plugmend-current'"));
        assert!(made.ends_with("/../versions/' . $plugmend_release . '/inc/pay.php';\n"));
        assert!(!made.contains("code();"));
    }

    #[test]
    fn only_php_has_a_loader() {
        assert!(loader(&RelPath::new("index.js").unwrap(), b"").is_err());
    }
}
