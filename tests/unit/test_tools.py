#!/usr/bin/env python3
"""What tools/progress, tools/tally, tools/setup and tools/mutants promise."""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"


def run(*command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


class Progress(unittest.TestCase):
    def test_status_and_output_of_a_failed_command(self):
        result = run(TOOLS / "progress", "a label", "sh", "-c", "echo reason; exit 7")
        self.assertEqual(result.returncode, 7)
        self.assertTrue(result.stdout.startswith("-- a label\n"))
        self.assertIn("FAILED with status 7", result.stdout)
        self.assertTrue(result.stdout.endswith("reason\n"))

    def test_silent_when_all_is_well(self):
        result = run(TOOLS / "progress", "a label", "sh", "-c", "echo noise")
        self.assertEqual(result.returncode, 0)
        self.assertNotIn("noise", result.stdout)

    def test_beats_while_the_command_runs_and_shows_its_last_line_escaped(self):
        with tempfile.TemporaryDirectory() as folder:
            gate = os.path.join(folder, "gate")
            os.mkfifo(gate)
            process = subprocess.Popen([TOOLS / "progress", "x", "sh", "-c", f"printf 'one\\ntwo\\033[2J\\n'; cat {gate}"],
                                       stdout=subprocess.PIPE, text=True)
            self.assertEqual(process.stdout.readline(), "-- x\n")
            # The command cannot end before the gate opens, so a second line is a heartbeat.
            line = process.stdout.readline()
            with open(gate, "w"):
                pass
            process.communicate()
            self.assertRegex(line, r"^ +\d+s  two\[2J\n$")
            self.assertEqual(process.returncode, 0)


class Mutants(unittest.TestCase):
    def test_every_patch_names_its_test_and_applies(self):
        root = TOOLS.parent
        patches = sorted((root / "tests/mutants").glob("*.patch"))
        self.assertTrue(patches)
        for patch in patches:
            with self.subTest(patch.stem):
                self.assertTrue(patch.read_text().startswith("# test: "))
                result = run("git", "apply", "--check", patch, cwd=root)
                self.assertEqual(result.returncode, 0, result.stderr)


    def test_a_skipped_test_proves_nothing(self):
        sys.dont_write_bytecode = True
        loader = importlib.machinery.SourceFileLoader("mutants", str(TOOLS / "mutants"))
        mutants = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutants", loader))
        loader.exec_module(mutants)
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder)
            (tree / "tests").mkdir()
            (tree / "tests/test_x.py").write_text("import pytest\ndef test_good(): pass\ndef test_bad(): assert False\n"
                                                  "@pytest.mark.skip\ndef test_away(): pass\n")
            self.assertTrue(mutants.passes("tests/test_x.py::test_good", tree))
            self.assertFalse(mutants.passes("tests/test_x.py::test_bad", tree))
            with self.assertRaisesRegex(mutants.Mutant, "is skipped here"):
                mutants.passes("tests/test_x.py::test_away", tree)


class Tally(unittest.TestCase):
    def tally(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                (pathlib.Path(folder) / name.replace("_", ".", 1) if name != "failed" else
                 pathlib.Path(folder) / "failed-steps").write_text(text)
            return run(TOOLS / "tally", folder)

    @staticmethod
    def meson(*results):
        return "".join(json.dumps({"name": f"t{i}", "result": r}) + "\n" for i, r in enumerate(results))

    JUNIT = ('<testsuites><testsuite><testcase classname="a" name="ok"/><testcase classname="a" name="bad"><failure/>'
             '</testcase><testcase classname="a" name="away"><skipped/></testcase></testsuite></testsuites>')

    def test_sums_both_kinds(self):
        result = self.tally(unit_json=self.meson("OK", "OK", "SKIP"), e2e_xml=self.JUNIT)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout.splitlines()[-1], "3 passed, 1 failed, 2 skipped")
        self.assertIn("failed: a::bad", result.stdout)

    def test_all_passed(self):
        result = self.tally(unit_json=self.meson("OK"))
        self.assertEqual((result.returncode, result.stdout), (0, "1 passed, 0 failed\n"))

    def test_every_other_result_is_a_failure(self):
        result = self.tally(unit_json=self.meson("OK", "FAIL", "TIMEOUT", "ERROR", "UNEXPECTEDPASS", "INTERRUPT"))
        self.assertEqual(result.stdout.splitlines()[-1], "1 passed, 5 failed")

    def test_failed_step_counts(self):
        result = self.tally(unit_json=self.meson("OK"), failed="build with clang\n")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "failed: build with clang\n1 passed, 1 failed\n")

    def test_what_passes_only_at_the_second_try_is_named_and_what_fails_twice_has_failed(self):
        with tempfile.TemporaryDirectory() as folder:
            again = pathlib.Path(folder) / "again"
            again.mkdir()
            (pathlib.Path(folder) / "unit.json").write_text(self.meson("OK", "FAIL", "FAIL"))
            (again / "unit.json").write_text("".join(
                json.dumps({"name": f"t{i}", "result": verdict}) + "\n" for i, verdict in ((1, "OK"), (2, "FAIL"))))
            result = run(TOOLS / "tally", folder)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout.splitlines(), ["passed at the second try only: t1", "failed: t2", "2 passed, 1 failed"])

    def test_nothing_at_all_is_no_success(self):
        result = self.tally()
        self.assertEqual((result.returncode, result.stdout), (1, "0 passed, 0 failed\n"))


class TestUser(unittest.TestCase):
    def test_no_name_is_no_user(self):
        """tools/check repeats what failed with the user that it ran as, and that may be none."""
        for name, user in (("", "None"), ("somebody", "somebody")):
            result = run(sys.executable, "-B", "-c", "import devdep; print(devdep.USER)", cwd=TOOLS.parent / "tests/lib",
                         env={**os.environ, "DEVDEP_TEST_USER": name})
            self.assertEqual(result.stdout, f"{user}\n", result.stderr)


class Setup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.bin = self.root / "bin"
        self.bin.mkdir()
        (self.root / "tools").mkdir()
        for name in ("setup", "progress"):
            (self.root / "tools" / name).write_text((TOOLS / name).read_text())
            (self.root / "tools" / name).chmod(0o755)
        (self.root / "tools" / "packages.txt").write_text("present\nabsent\n")
        self.program("dpkg-query", 'case "$4" in present) echo installed ;; *) exit 1 ;; esac')
        self.program("apt-get", f'echo "$@" >>{self.root}/apt')

    def program(self, name, text):
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def setup_with(self, uid, *args):
        self.program("id", f"echo {uid}")
        return run(self.root / "tools/setup", *args, env={"PATH": f"{self.bin}:{os.environ['PATH']}"})

    def test_root_installs_what_is_missing_and_no_more(self):
        result = self.setup_with(0)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        calls = (self.root / "apt").read_text().splitlines()
        self.assertIn("update", calls[0])
        self.assertTrue(calls[1].endswith("install -y --no-install-recommends absent"), calls)

    def test_what_only_the_tests_need_comes_with_them_and_its_servers_do_not_start(self):
        (self.root / "tools" / "packages-check.txt").write_text("nginx-light\n")
        self.program("systemctl", f'echo "$@" >>{self.root}/systemctl')
        policy = pathlib.Path("/usr/sbin/policy-rc.d")
        self.program("apt-get", f'echo "$@" >>{self.root}/apt; {policy} nginx start; echo $? >{self.root}/policy')
        there = policy.exists()
        result = self.setup_with(0, "check")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertTrue((self.root / "apt").read_text().splitlines()[1].endswith("install -y --no-install-recommends absent nginx-light"))
        self.assertEqual((self.root / "systemctl").read_text(), "--quiet disable nginx\n")
        if os.access("/usr/sbin", os.W_OK) and not there:
            self.assertEqual((self.root / "policy").read_text(), "101\n")
        self.assertEqual(policy.exists(), there)

    def test_others_are_told_what_to_run(self):
        result = self.setup_with(1000)
        self.assertEqual(result.returncode, 2)
        self.assertIn("sudo apt-get install absent", result.stderr)
        self.assertFalse((self.root / "apt").exists())

    def test_nothing_missing_touches_nothing(self):
        (self.root / "tools" / "packages.txt").write_text("# comment\n\npresent\n")
        result = self.setup_with(1000)
        self.assertEqual((result.returncode, result.stdout), (0, "-- set-up: nothing is missing\n"))
        self.assertFalse((self.root / "apt").exists())


if __name__ == "__main__":
    unittest.main()
