#!/bin/sh
# The customize hook of `devdep-cli image build`: mmdebstrap calls it with the finished tree of packages, as root or as root of a
# user namespace. It adds what a guest needs and writes three files that exist already, in the folder that is open as descriptor
# DEVDEP_OUT_FD, because the root of an ordinary user's namespace may not pass through that user's folders:
#   root.img     the ext4 file system
#   kernel       the kernel
#   modules.tar  modules/*.ko and modules/order for the initramfs, and modules/version
# (One descriptor, not three: mmdebstrap's own then get numbers of two digits, which dash cannot redirect.)
# DEVDEP_MODULES names the modules that the guest's agent loads ("?NAME": it can do without); DEVDEP_KERNEL is the kernel's package.
# Lines that begin with "devdep-stage: " are shown as progress.
set -eu
root=$1
out=/proc/self/fd/$DEVDEP_OUT_FD
work=$root/.devdep-work # beside the tree only the caller may write, whoever that is

stage() { echo "devdep-stage: $*"; }
fail() { echo "devdep-error: $*"; exit 1; }

# The cloud kernel is a name that depends on the real package. It is unpacked, not installed: no hooks, no boot loader.
fetch_kernel()
{
        mkdir "$work"
        cd "$work"
        version=$(apt-cache show --no-all-versions "$DEVDEP_KERNEL" | sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*\).*/\1/p')
        [ -n "$version" ] || fail "package $DEVDEP_KERNEL names no kernel package"
        apt-get -o APT::Sandbox::User=root download "$version"
        mkdir kernel
        dpkg-deb -x ./linux-image-*.deb kernel
        release=$(ls kernel/lib/modules)
        cat "kernel/boot/vmlinuz-$release" >"$out/kernel"
        mkdir -p "$root/usr/lib/modules"
        cp -a --no-preserve=ownership "kernel/lib/modules/$release" "$root/usr/lib/modules/"
        chroot "$root" depmod "$release"
}

# A fifth of the size; modprobe unpacks them. The initramfs gets the uncompressed files, which the kernel itself reads.
compress_modules()
{
        find "$root/usr/lib/modules/$release" -name '*.ko' -print0 | xargs -0 zstd -q -9 --rm
        chroot "$root" depmod "$release"
}

# modules.dep lists for each file what it needs, the last one first; names appear there with - or with _. A module that is built
# in has no line and needs none.
collect_modules()
{
        lib=$root/usr/lib/modules/$release
        mkdir modules
        : >all
        for wanted in $DEVDEP_MODULES; do
                name=${wanted#\?}
                pattern=$(echo "$name" | sed 's/[-_]/[-_]/g')
                line=$(sed -n "s|^\(\(.*/\)\?$pattern\.ko\):|\1|p" "$lib/modules.dep")
                if [ -n "$line" ]; then
                        optional=${wanted%"$name"}
                        for file in $line; do echo "$optional $file"; done | tac >>all
                elif ! grep -q "/$pattern\.ko\$" "$lib/modules.builtin" && [ "$wanted" = "$name" ]; then
                        fail "kernel $release has no module $name"
                fi
        done
        # A file that is wanted twice is loaded at its first place, and is optional only if it is everywhere.
        awk '{ f = $NF; if (!(f in seen)) order[++n] = f; seen[f] = 1; if (NF == 1) need[f] = 1 }
             END { for (i = 1; i <= n; i++) print (order[i] in need ? "" : "? ") order[i] }' all |
                while read -r mark file; do
                        [ -n "$file" ] || { file=$mark mark=; }
                        cp "$lib/$file" modules/
                        echo "$mark$(basename "$file")"
                done >modules/order
        echo "$release" >modules/version
        tar -cf - modules >"$out/modules.tar"
        compress_modules
}

make_user()
{
        chroot "$root" useradd --create-home --uid 1001 --user-group --shell /bin/bash --comment Runner runner
        if [ -d "$root/etc/sudoers.d" ]; then
                echo 'runner ALL=(ALL) NOPASSWD:ALL' >"$root/etc/sudoers.d/runner"
                chmod 0440 "$root/etc/sudoers.d/runner"
        fi
        echo devdep >"$root/etc/hostname"
        printf '127.0.0.1 localhost\n127.0.1.1 devdep\n::1 localhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
        : >"$root/etc/resolv.conf"
        : >"$root/etc/fstab"
        : >"$root/etc/machine-id"
}

# Containers of a job: layers need a file system that is no overlay, and /var/tmp of a guest is one.
place_containers()
{
        [ -d "$root/etc/containers" ] || return 0
        cat >"$root/etc/containers/storage.conf" <<'END'
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/tmp/containers/storage"
rootless_storage_path = "/var/tmp/containers-$UID/storage"
END
}

# What mmdebstrap and apt leave behind, and what only this host is concerned with (proxy, mirrors' credentials).
tidy()
{
        cd /
        rm -rf "$work"
        rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "$root"/var/cache/debconf/*-old \
                "$root"/var/cache/ldconfig/aux-cache "$root"/tmp/* "$root"/run/* "$root"/var/lib/dpkg/*-old \
                "$root"/etc/apt/auth.conf.d/* "$root"/boot/*
        rm -f "$root"/etc/apt/apt.conf.d/*mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/*mmdebstrap "$root/usr/sbin/policy-rc.d"
        mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial" "$root/var/log/apt"
        # Mirrors may carry the host's names or passwords.
        rm -f "$root"/etc/apt/sources.list.d/*
        {
                echo "deb http://deb.debian.org/debian $DEVDEP_SUITE main"
                echo "deb http://deb.debian.org/debian $DEVDEP_SUITE-updates main"
                echo "deb http://deb.debian.org/debian-security $DEVDEP_SUITE-security main"
        } >"$root/etc/apt/sources.list"
        if [ -e "$root/sbin/start-stop-daemon.REAL" ]; then
                mv "$root/sbin/start-stop-daemon.REAL" "$root/sbin/start-stop-daemon"
        fi
}

# The file system, of this many KiB: no journal, no room to grow, nothing that a read-only mount has no use for.
make_fs()
{
        mke2fs -q -F -t ext4 -b 4096 -I 256 -m 0 -N $((files + files / 50 + 64)) -L devdep-root \
                -O ^has_journal,^resize_inode,^metadata_csum,^64bit -E lazy_itable_init=0,root_owner=0:0 \
                -d "$tree" "$image" "$1k"
}

# A bind mount of the tree alone shows it without the file systems that mmdebstrap mounted below it.
pack_root()
{
        tree=$root/mnt
        mount --bind "$root" "$tree"
        image=$out/root.img
        kib=$(du -s --block-size=1024 "$tree" | cut -f1)
        files=$(find "$tree" | wc -l)
        make_fs $((kib + kib / 8 + 32768))
        # resize2fs -M leaves a tenth unused; the blocks that are really used say how small it can be.
        used=$(dumpe2fs -h "$image" 2>/dev/null | awk -F: '/^Block count/ { n = $2 } /^Free blocks/ { f = $2 } END { print n - f }')
        truncate -s 0 "$image"
        make_fs $((used * 4 + used / 64 + 1024))
        umount "$tree"
        e2fsck -f -n "$image" || fail "the new file system is damaged"
        if [ -e "$root/sbin/start-stop-daemon" ]; then
                cp -a "$root/sbin/start-stop-daemon" "$root/sbin/start-stop-daemon.REAL"
        fi
        : >"$root/usr/sbin/policy-rc.d"
}

export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
stage "fetching the kernel"
fetch_kernel
stage "collecting kernel modules"
collect_modules
make_user
place_containers
tidy
stage "writing the file system"
pack_root
