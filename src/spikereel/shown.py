"""What shows itself as tables: in a terminal by rich, and so in a notebook."""

from io import StringIO

FORMAT = '<pre style="white-space:pre;overflow-x:auto;line-height:1.25;font-family:monospace">{code}</pre>'
WIDTH = 100
"""Characters of a line in a notebook."""


class Shown:
    """Of a class with `__rich__`: a notebook shows what a terminal would."""

    def _repr_html_(self) -> str:
        from rich.console import Console

        # rich itself would show it at once, beside what is returned
        to = StringIO()
        console = Console(
            file=to, width=WIDTH, record=True, markup=False, emoji=False, highlight=False, force_jupyter=False
        )
        console.print(self)
        # without colours, which are made for dark terminals
        return console.export_html(code_format=FORMAT, inline_styles=True, theme=None)
