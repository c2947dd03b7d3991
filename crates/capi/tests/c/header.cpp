// The header is C++ too: names, structs and calls, without a warning.
#include <penjing.h>

#include <cstring>

int main()
{
    PenjingModel *model = nullptr;
    PenjingSessionOptions options = {1, 0, 0};
    PenjingSession *session = nullptr;
    PenjingStatus status = penjing_model_open(nullptr, &model);
    if (status != PENJING_STATUS_NULL_POINTER || model != nullptr) {
        return 1;
    }
    if (penjing_session_new(model, &options, &session) != PENJING_STATUS_NULL_POINTER) {
        return 2;
    }
    return std::strstr(penjing_status_text(status), "null") != nullptr ? 0 : 3;
}
