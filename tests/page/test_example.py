"""The examples of the documentation run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def test_example_hears_the_microphone(browser: Any, server: Any, own_page: str, root: Path) -> None:
    (example,) = re.findall(r"```js\n(.*?)```", (root / "docs" / "browser.md").read_text(), re.DOTALL)
    example = example.replace("localhost:8000", f"localhost:{server.port}")
    browser.driver.get(own_page)
    browser.driver.execute_script(
        f"""
        window.heard = [];
        console.log = (...what) => heard.push(what.join(" "));
        document.querySelector("button").onclick = async () => {{ {example} }};
        """
    )
    browser.find("button").click()
    browser.until(lambda: "John Dashwood had" in " ".join(heard(browser)))
    browser.until(lambda: not heard(browser)[-1].startswith("…"))
    assert heard(browser)[-1].endswith("in his power to do for them.")


def test_example_of_the_readme_in_the_page(browser: Any, server: Any, root: Path) -> None:
    (example,) = re.findall(r"```js\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    browser.driver.get(f"http://127.0.0.1:{server.port}/")
    browser.driver.execute_script(
        f"""
        window.heard = [];
        console.log = (message) => heard.push(`${{message.type}} ${{message.text}}`);
        (async () => {{ {example.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")} }})();
        """
    )
    browser.until(lambda: heard(browser)[-1:] == ["closed undefined"])
    assert "John Dashwood had" in " ".join(message for message in heard(browser) if message.startswith("final"))


def heard(browser: Any) -> list[str]:
    return list(browser.driver.execute_script("return heard"))
