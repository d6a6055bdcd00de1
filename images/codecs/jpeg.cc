// clang-format off
#include <cstdio>  // jpeglib.h takes FILE from who includes it

#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>
#include <cstring>
#include <new>

#include "hwynn/core/check.h"
#include "hwynn/images/codecs/codec.h"
#include "hwynn/images/codecs/exif.h"

namespace hwynn {
namespace {

// A few bytes may stand for a scan over the whole image, so a small file could take minutes. Encoders make about ten.
constexpr int kMaxScans = 64;

// Warnings that say that pixels are lost. The others (bytes between segments, unknown versions) say nothing of pixels,
// and cameras write such files.
bool LosesPixels(int warning) {
  return warning == JWRN_HIT_MARKER || warning == JWRN_HUFF_BAD_CODE || warning == JWRN_BOGUS_PROGRESSION ||
         warning == JWRN_MUST_RESYNC || warning == JWRN_JPEG_EOF;
}

// libjpeg with errors that come back as a text. It leaves its functions by longjmp, over frames of C alone: each
// call of it stands in Run, in lambdas without anything to destroy.
class JpegDecoder {
 public:
  explicit JpegDecoder(std::span<const std::byte> file) : file_(file) {
    std::memset(&info_, 0, sizeof info_);
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = [](j_common_ptr info) { Of(info).Escape(info); };
    errors_.emit_message = [](j_common_ptr info, int level) {
      if (level < 0 && LosesPixels(info->err->msg_code)) Of(info).Escape(info);
    };
    errors_.output_message = [](j_common_ptr) {};
    source_.init_source = [](j_decompress_ptr) {};
    source_.fill_input_buffer = [](j_decompress_ptr info) { return Of(info).End(); };
    source_.skip_input_data = [](j_decompress_ptr info, long count) { Of(info).Skip(count); };  // NOLINT: libjpeg's
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.term_source = [](j_decompress_ptr) {};
    source_.next_input_byte = reinterpret_cast<const JOCTET*>(file.data());
    source_.bytes_in_buffer = file.size();
    progress_.progress_monitor = [](j_common_ptr info) { Of(info).CountScans(); };
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  bool ReadHeader() {
    return Run([this] {
      jpeg_create_decompress(&info_);
      info_.client_data = this;
      info_.src = &source_;
      info_.progress = &progress_;
      jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xffff);
      jpeg_read_header(&info_, TRUE);
    });
  }

  bool Start(J_COLOR_SPACE output) {
    return Run([this, output] {
      info_.out_color_space = output;
      info_.dct_method = JDCT_ISLOW;
      info_.do_fancy_upsampling = TRUE;
      jpeg_start_decompress(&info_);
    });
  }

  bool ReadRows(uint8_t* pixels, size_t row_bytes) {
    return Run([this, pixels, row_bytes] {
      while (info_.output_scanline < info_.output_height) {
        JSAMPROW row = pixels + info_.output_scanline * row_bytes;
        jpeg_read_scanlines(&info_, &row, 1);
      }
    });
  }

  const jpeg_decompress_struct& info() const { return info_; }
  /// Whether all bytes were used up before the image's end marker was seen.
  bool ended() const { return ended_; }
  bool has_several_scans() { return jpeg_has_multiple_scans(&info_) != FALSE; }
  /// Why the last call failed.
  const char* error() const { return ended_ ? "the file ends before its image does" : message_; }

 private:
  template <class Info>
  static JpegDecoder& Of(Info info) {
    return *static_cast<JpegDecoder*>(info->client_data);
  }

  template <class Calls>
  bool Run(const Calls& calls) {
    if (setjmp(escape_) != 0) return false;
    calls();
    return true;
  }

  [[noreturn]] void Escape(j_common_ptr info) {
    info->err->format_message(info, message_);
    std::longjmp(escape_, 1);
  }

  // Behind the last byte libjpeg finds an end marker: of a file that lacks nothing else the image is whole. Where bits
  // are missing, it says so.
  boolean End() {
    static constexpr JOCTET kEndMarker[] = {0xff, JPEG_EOI};
    ended_ = true;
    source_.next_input_byte = kEndMarker;
    source_.bytes_in_buffer = sizeof kEndMarker;
    return TRUE;
  }

  void Skip(long count) {  // NOLINT: libjpeg's type
    if (count <= 0) return;
    const auto bytes = static_cast<size_t>(count);
    if (bytes > source_.bytes_in_buffer) {
      End();
      return;
    }
    source_.next_input_byte += bytes;
    source_.bytes_in_buffer -= bytes;
  }

  void CountScans() {
    if (info_.input_scan_number <= kMaxScans) return;
    std::snprintf(message_, sizeof message_, "the image has more than %d scans", kMaxScans);
    std::longjmp(escape_, 1);
  }

  std::span<const std::byte> file_;
  jpeg_decompress_struct info_;
  jpeg_error_mgr errors_;
  jpeg_source_mgr source_;
  jpeg_progress_mgr progress_{};
  std::jmp_buf escape_;
  char message_[JMSG_LENGTH_MAX] = "";
  bool ended_ = false;
};

int OrientationOf(const jpeg_decompress_struct& info) {
  constexpr char kExif[] = {'E', 'x', 'i', 'f', 0, 0};
  for (const jpeg_marker_struct* marker = info.marker_list; marker != nullptr; marker = marker->next) {
    if (marker->data_length < sizeof kExif || std::memcmp(marker->data, kExif, sizeof kExif) != 0) continue;
    return ExifOrientation(std::as_bytes(std::span(marker->data, marker->data_length)).subspan(sizeof kExif));
  }
  return 1;
}

void CheckKind(const std::string& path, const jpeg_decompress_struct& info) {
  const J_COLOR_SPACE space = info.jpeg_color_space;
  CheckData(space != JCS_CMYK && space != JCS_YCCK, path, ": is a JPEG in ", space == JCS_CMYK ? "CMYK" : "YCCK",
            ", colours for printing; save it in RGB");
  CheckData(space == JCS_GRAYSCALE || space == JCS_YCbCr || space == JCS_RGB, path, ": is a JPEG of ",
            info.num_components, " components, neither grey nor in colour");
  CheckData(!info.arith_code, path, ": is a JPEG with arithmetic coding, which isn't read");
}

// Each block of 8×8 takes a bit at least: a file can't claim more of them, whose memory would be asked for.
void CheckBlocks(const std::string& path, const jpeg_decompress_struct& info, size_t file_bytes) {
  uint64_t blocks = 0;
  for (int c = 0; c < info.num_components; ++c) {
    blocks += uint64_t{info.comp_info[c].width_in_blocks} * info.comp_info[c].height_in_blocks;
  }
  CheckData(blocks <= 8 * uint64_t{file_bytes}, path, ": ", info.image_width, "x", info.image_height,
            " pixels are more than a file of ", file_bytes, " bytes can hold");
}

}  // namespace

CodecImage DecodeJpeg(std::span<const std::byte> file, const std::string& path, int64_t max_pixels) {
  JpegDecoder decoder(file);
  const auto check = [&](bool ok) {
    if (!ok && decoder.info().err->msg_code == JERR_OUT_OF_MEMORY) throw std::bad_alloc();
    CheckData(ok, path, ": ", decoder.error());
  };
  check(decoder.ReadHeader());
  const jpeg_decompress_struct& info = decoder.info();
  CheckImageSize(path, info.image_height, info.image_width, max_pixels);
  CheckKind(path, info);
  CheckBlocks(path, info, file.size());

  CodecImage result = {.image = {.height = info.image_height,
                                 .width = info.image_width,
                                 .channels = info.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3},
                       .orientation = OrientationOf(info)};
  check(decoder.Start(result.image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB));
  // What is missing at a progressive image's end are scans, which nothing else shows.
  check(!decoder.ended() || !decoder.has_several_scans());
  const auto row_bytes = static_cast<size_t>(result.image.width * result.image.channels);
  result.image.pixels.resize(row_bytes * static_cast<size_t>(result.image.height));
  check(decoder.ReadRows(result.image.pixels.data(), row_bytes));
  return result;
}

}  // namespace hwynn
