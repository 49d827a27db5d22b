//! A small real PHP shop (`tests/shop/php`): nginx in front of PHP-FPM with OPcache, as on a merchant's host.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::{house, npm, process::Running, wait};

/// The user that Debian's pools run as.
const USER: &str = "www-data";

/// What of OPcache is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpCache {
    /// As Debian ships it: on, timestamps looked at every two seconds.
    Default,
    /// On, and timestamps never looked at, as busy shops run it.
    Unchecked,
    /// Off.
    Off,
}

/// Where a shop lies and where its plugin is to be installed.
#[derive(Debug, Clone)]
pub struct Place {
    /// The shop's folder.
    pub home: PathBuf,
    /// The plugin's path in it, for the agent to manage.
    pub plugin: PathBuf,
    /// The file to which paid orders are appended.
    pub orders: PathBuf,
    /// PHP-FPM's socket, for the agent's OPcache reset.
    pub fpm: PathBuf,
}

impl Place {
    /// Lays out a shop in `home`, a folder that the pool's user can enter, with everything but the plugin.
    pub fn prepare(home: &Path) -> Result<Self> {
        let site = home.join("site");
        fs::create_dir_all(site.join("plugins"))?;
        fs::copy(
            house::workspace().join("tests/shop/php/index.php"),
            site.join("index.php"),
        )?;
        let place = Self {
            plugin: site.join("plugins/gateway"),
            orders: home.join("orders"),
            fpm: home.join("fpm.sock"),
            home: home.to_owned(),
        };
        fs::write(&place.orders, "")?;
        give_to_pool(&place.orders)?;
        Ok(place)
    }
}

/// Makes `path` the pool user's.
pub fn give_to_pool(path: &Path) -> Result<()> {
    npm::run(Command::new("chown").arg("-R").arg(format!("{USER}:{USER}")).arg(path))
}

/// A temporary folder that other users can enter.
pub fn open_folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("plugmend-shop-").tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// A running shop.
pub struct PhpShop {
    at: SocketAddr,
    nginx: Running,
    fpm: Running,
}

impl PhpShop {
    /// Starts PHP-FPM and nginx; the plugin must be installed.
    pub fn start(place: &Place, port: u16, opcache: OpCache) -> Result<Self> {
        let fpm_conf = place.home.join("fpm.conf");
        fs::write(&fpm_conf, fpm_configuration(place, opcache))?;
        let mut command = Command::new(fpm_program()?);
        command.arg("-F").arg("-y").arg(&fpm_conf);
        let mut fpm = Running::spawn("php-fpm", &mut command, &place.home.join("fpm.log"))?;
        wait::until("PHP-FPM to open its socket", Duration::from_secs(30), || {
            fpm.check()?;
            Ok(std::os::unix::net::UnixStream::connect(&place.fpm)
                .is_ok()
                .then_some(()))
        })?;

        let nginx_conf = place.home.join("nginx.conf");
        fs::write(&nginx_conf, nginx_configuration(place, port))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&place.home).arg("-c").arg(&nginx_conf);
        let mut nginx = Running::spawn("nginx", &mut command, &place.home.join("nginx.log"))?;
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        wait::until("nginx to open", Duration::from_secs(30), || {
            nginx.check()?;
            Ok(std::net::TcpStream::connect(at).is_ok().then_some(()))
        })?;
        Ok(Self { at, nginx, fpm })
    }

    /// Where customers come in.
    pub fn at(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for PhpShop {
    fn drop(&mut self) {
        // Both end their workers.
        let _ = self.nginx.stop(Signal::TERM, Duration::from_secs(5));
        let _ = self.fpm.stop(Signal::TERM, Duration::from_secs(5));
    }
}

fn fpm_program() -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/sbin")?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("php-fpm"))
        })
        .collect();
    found.sort();
    found.pop().context("no PHP-FPM here (Debian: apt-get install php-fpm)")
}

fn fpm_configuration(place: &Place, opcache: OpCache) -> String {
    let (enable, timestamps) = match opcache {
        OpCache::Default => (1, 1),
        OpCache::Unchecked => (1, 0),
        OpCache::Off => (0, 1),
    };
    format!(
        "[global]\nerror_log = {home}/fpm-error.log\ndaemonize = no\n\
         [shop]\nuser = {USER}\ngroup = {USER}\nlisten = {socket}\nlisten.owner = {USER}\nlisten.mode = 0660\n\
         listen.backlog = 4096\npm = static\npm.max_children = 4\ncatch_workers_output = yes\n\
         php_admin_value[opcache.enable] = {enable}\n\
         php_admin_value[opcache.validate_timestamps] = {timestamps}\n\
         php_admin_value[error_log] = {home}/php-error.log\nphp_admin_flag[display_errors] = off\n",
        home = place.home.display(),
        socket = place.fpm.display(),
    )
}

fn nginx_configuration(place: &Place, port: u16) -> String {
    let home = place.home.display();
    format!(
        "daemon off;\nworker_processes 1;\npid {home}/nginx.pid;\nerror_log {home}/nginx-error.log;\nuser {USER};\n\
         events {{ worker_connections 1024; }}\nhttp {{\n  access_log off;\n  client_body_temp_path {home}/tmp;\n\
         \x20 fastcgi_temp_path {home}/tmp-fastcgi;\n  proxy_temp_path {home}/tmp-proxy;\n  uwsgi_temp_path {home}/tmp-uwsgi;\n\
         \x20 scgi_temp_path {home}/tmp-scgi;\n  server {{\n    listen 127.0.0.1:{port} backlog=4096;\n    location / {{\n\
         \x20     fastcgi_pass unix:{socket};\n      fastcgi_param SCRIPT_FILENAME {home}/site/index.php;\n\
         \x20     fastcgi_param REQUEST_METHOD $request_method;\n      fastcgi_param QUERY_STRING $query_string;\n\
         \x20     fastcgi_param CONTENT_LENGTH $content_length;\n      fastcgi_param CONTENT_TYPE $content_type;\n\
         \x20     fastcgi_param SHOP_PLUGIN {plugin};\n      fastcgi_param SHOP_ORDERS {orders};\n    }}\n  }}\n}}\n",
        socket = place.fpm.display(),
        plugin = place.plugin.display(),
        orders = place.orders.display(),
    )
}
