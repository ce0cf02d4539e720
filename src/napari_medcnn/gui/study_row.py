"""Draw a row of the study tree: a thumbnail, three lines of text, and a badge for findings."""

from __future__ import annotations

from typing import TypeAlias

from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QImage, QPainter
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from napari_medcnn.app.studies.index_reader import PatientRow, SeriesDetails, SeriesRow
from napari_medcnn.gui.notices import severity_colour
from napari_medcnn.gui.study_text import badge_text, patient_studies, worst_severity
from napari_medcnn.gui.study_tree_model import DETAILS_ROLE, PICTURE_ROLE, ROW_ROLE

MARGIN_PX = 3
_FAINT_ALPHA = 165
_Index: TypeAlias = QModelIndex | QPersistentModelIndex


class StudyRowDelegate(QStyledItemDelegate):
    """Three lines fit a dock of 300 pixels where one would be cut."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:  # noqa: N802, D102
        line = option.fontMetrics.lineSpacing()
        lines = 3 if isinstance(index.data(ROW_ROLE), SeriesRow) else 1
        return QSize(120, lines * line + 2 * MARGIN_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:  # noqa: D102
        full = QStyleOptionViewItem(option)
        self.initStyleOption(full, index)
        full.text = ""
        view = full.widget
        view.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, full, painter, view)
        painter.save()
        area = option.rect.adjusted(MARGIN_PX, MARGIN_PX, -MARGIN_PX, -MARGIN_PX)
        if isinstance(index.data(ROW_ROLE), SeriesRow):
            _paint_series(painter, area, option.font, index)
        else:
            font = QFont(option.font)
            font.setBold(isinstance(index.data(ROW_ROLE), PatientRow))
            painter.setFont(font)
            painter.setPen(text_colour())
            taken = _paint_count(painter, area, option.font, index.data(ROW_ROLE))
            _write(painter, area.adjusted(0, 0, -taken, 0), index.data())
        painter.restore()


def text_colour() -> QColor:
    """Of text in napari's theme; a delegate does not see its style sheet."""
    theme = get_theme(get_settings().appearance.theme)
    return QColor(*theme.text.as_rgb_tuple()[:3])


def _paint_count(painter: QPainter, area: QRect, font: QFont, row: object) -> int:
    """Write at the right end how many studies a patient has; how many pixels that takes."""
    text = patient_studies(row) if isinstance(row, PatientRow) else ""
    if not text:
        return 0
    painter.save()
    painter.setFont(font)
    colour = text_colour()
    colour.setAlpha(_FAINT_ALPHA)
    painter.setPen(colour)
    painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
    width = QFontMetrics(font).horizontalAdvance(text)
    painter.restore()
    return width + 2 * MARGIN_PX


def _paint_series(painter: QPainter, area: QRect, font: QFont, index: _Index) -> None:
    picture = QRect(area.left(), area.top(), area.height(), area.height())
    painter.setFont(font)
    _paint_picture(painter, picture, index.data(PICTURE_ROLE), index.data(ROW_ROLE).modality)
    text = area.adjusted(area.height() + 2 * MARGIN_PX, 0, 0, 0)
    line = text.height() // 3
    title, content, spacing = index.data().split("\n")
    details: SeriesDetails | None = index.data(DETAILS_ROLE)
    painter.setFont(font)
    colour = text_colour()
    painter.setPen(colour)
    first = QRect(text.left(), text.top(), text.width(), line)
    _write(painter, first, title)
    taken = 0 if details is None else _paint_badge(painter, first.translated(0, 2 * line), details)
    colour.setAlpha(_FAINT_ALPHA)
    painter.setPen(colour)
    _write(painter, first.translated(0, line), content)
    _write(painter, first.translated(0, 2 * line).adjusted(0, 0, -taken, 0), spacing)


def _paint_picture(painter: QPainter, area: QRect, picture: QImage | None, word: str) -> None:
    """Draw the thumbnail; as long as there is none, a frame around the modality."""
    if picture is None or picture.isNull():
        colour = text_colour()
        colour.setAlpha(70)
        painter.setPen(colour)
        painter.drawRect(area.adjusted(0, 0, -1, -1))
        short = QFontMetrics(painter.font()).elidedText(
            word, Qt.TextElideMode.ElideRight, area.width() - 4
        )
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, short)
        return
    painter.fillRect(area, Qt.GlobalColor.black)
    size = picture.size().scaled(area.size(), Qt.AspectRatioMode.KeepAspectRatio)
    place = QRect(area.topLeft(), size)
    place.moveCenter(area.center())
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(place, picture)


def _paint_badge(painter: QPainter, area: QRect, details: SeriesDetails) -> int:
    """Draw the badge at the right end; how many pixels it takes."""
    severity = worst_severity(details.findings)
    if severity is None:
        return 0
    text = badge_text(details.findings)
    width = QFontMetrics(painter.font()).horizontalAdvance(text) + 10
    place = QRect(area.right() - width, area.top() + 1, width, area.height() - 2)
    colour = severity_colour(severity)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawRoundedRect(place, 4, 4)
    bright = 0.299 * colour.red() + 0.587 * colour.green() + 0.114 * colour.blue() > 140
    painter.setPen(Qt.GlobalColor.black if bright else Qt.GlobalColor.white)
    painter.drawText(place, Qt.AlignmentFlag.AlignCenter, text)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    return width + MARGIN_PX


def _write(painter: QPainter, area: QRect, text: str) -> None:
    metrics = QFontMetrics(painter.font())
    short = metrics.elidedText(text, Qt.TextElideMode.ElideRight, area.width())
    flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
    painter.drawText(area, flags | Qt.TextFlag.TextSingleLine, short)
